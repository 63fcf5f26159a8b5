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
    found = list(_without_heldout(run)) if "evaluate" in stages else []
    return [*found, *_cut_before_the_answer(run)] if "assemble" in stages else found


def _without_heldout(run: Run) -> Iterator[str]:
    """Keys of `[evaluate]` that need held-out seeds, if there are none."""
    evaluate = run.settings.evaluate
    if run.settings.seeds.heldout:
        return
    for key in ("greedy_tokens", "answers"):
        if getattr(evaluate, key) != type(evaluate).model_fields[key].default:
            yield (
                f"evaluate.{key} has no effect, because seeds.heldout is 0: no model answers held-out seeds; set "
                f"seeds.heldout above 0, or remove evaluate.{key}"
            )


def _cut_before_the_answer(run: Run) -> Iterator[str]:
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
                    f"longer, no token has a weight, and the stage quantize fails; raise the limit, give the "
                    f"reasoning a weight, or set sets.{name}.answer_only = true"
                )


def _always_reasons(run: Run, plan: SetPlan) -> bool:
    """True if each answer in the set comes from a source that writes its reasoning before the answer."""
    sources = [part for part in plan.parts(BASELINE) if part != PROSE]
    reasons = [name != BASELINE and run.settings.sources[name].reasoning != "off" for name in sources]
    return bool(reasons) and all(reasons) and not plan.answer_only
