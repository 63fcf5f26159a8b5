"""Say before a run which settings have no effect, or probably not the effect that is wanted.

`faq-tui doctor` reports the same notices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faq_tui.core.chat.token_kinds import ANSWER
from faq_tui.core.run.run import Run
from faq_tui.core.settings import BASELINE, SetPlan
from faq_tui.core.settings.sets import PROSE
from faq_tui.core.settings.weights import kind_weights_of
from faq_tui.core.stages.set_check import planned_name


def setting_notices(run: Run, stages: Sequence[str]) -> list[str]:
    """Sentences about settings that a person must read before the stages in `stages` run."""
    return ["; ".join(finding) for finding in setting_findings(run, stages)]


def setting_findings(run: Run, stages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The two parts of each notice: what was found, and what to do."""
    if "evaluate" in stages:
        yield from _without_heldout(run)
    if "assemble" in stages:
        yield from _cut_before_the_answer(run)


def _without_heldout(run: Run) -> Iterator[tuple[str, str]]:
    """Keys of `[evaluate]` that need held-out seeds, if there are none."""
    evaluate = run.settings.evaluate
    if run.settings.seeds.heldout:
        return
    for key in ("greedy_tokens", "answers"):
        if getattr(evaluate, key) != type(evaluate).model_fields[key].default:
            yield (
                f"evaluate.{key} has no effect, because seeds.heldout is 0: no model answers held-out seeds",
                f"set seeds.heldout above 0, or remove evaluate.{key}",
            )


def _cut_before_the_answer(run: Run) -> Iterator[tuple[str, str]]:
    """Sets that may be cut before their answers begin, if a recipe gives the weight 0 to all other tokens."""
    for recipe in run.settings.recipes:
        weights = kind_weights_of(recipe) or {}
        if {kind for kind, weight in weights.items() if weight} != {ANSWER}:
            continue
        for name in dict.fromkeys(planned_name(run, name) for name in run.settings.sets_of(recipe)):
            plan = run.settings.set_plans()[name]
            longest = plan.answers_cut or plan.tokens_per_sample
            if longest and _always_reasons(run, plan):
                yield (
                    f"recipes[{recipe.number}].token_weights gives weight only to answers, but samples of the set "
                    f"{name} are cut after {longest} tokens, and the reasoning comes first: if each reasoning is "
                    "longer, no token has a weight, and the stage quantize fails",
                    f"raise the limit, give the reasoning a weight, or set sets.{name}.answer_only = true",
                )


def _always_reasons(run: Run, plan: SetPlan) -> bool:
    """True if each answer in the set comes from a source that writes its reasoning before the answer."""
    sources = [part for part in plan.parts(BASELINE) if part != PROSE]
    reasons = [name != BASELINE and run.settings.sources[name].reasoning != "off" for name in sources]
    return bool(reasons) and all(reasons) and not plan.answer_only
