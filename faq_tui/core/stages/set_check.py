"""Check the needs of the sets: text files for prose, a target with experts, and tokens with a weight above 0.

`faq-tui doctor` reports the same findings.
"""

from __future__ import annotations

from faq_tui.core.assembly.prose import check_prose
from faq_tui.core.base.errors import UsageError
from faq_tui.core.chat.token_kinds import ANSWER, KINDS, QUESTION, REASONING, SINK, TEMPLATE
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.hub import cached_folder
from faq_tui.core.models.target import local_target
from faq_tui.core.quantizing.preflight import expert_count
from faq_tui.core.run.run import Run
from faq_tui.core.settings import BASELINE, EMBEDDED, TOKENS_SUFFIX, SetPlan
from faq_tui.core.settings.sets import PROSE, plain_name
from faq_tui.core.settings.weights import kind_weights_of
from faq_tui.core.store import seeds as seed_rows


def check_sets(run: Run) -> None:
    """Raise UsageError if a set cannot be made. This check is fast, and costs nothing."""
    check_prose(run)
    by_experts = [name for name, plan in run.settings.set_plans().items() if plan.select == "experts"]
    if by_experts and _is_dense(run):
        raise UsageError(
            f'sets.{by_experts[0]}.select = "experts" needs a mixture of experts, but target.model '
            f"{run.settings.target.model} is a dense model: choose another order"
        )
    _check_weights(run)


def _check_weights(run: Run) -> None:
    """Raise UsageError if a recipe gives the weight 0 to every kind of tokens that one of its sets can have."""
    for recipe in run.settings.recipes:
        weights = kind_weights_of(recipe)
        if weights is None or all(weights.values()):
            continue
        unread = not any(seed_rows.counts(run.store).values())  # `doctor` may run before the stage seeds
        answers = unread or seed_rows.have_answers(run.store)
        for name in run.settings.sets_of(recipe):
            plan = run.settings.set_plans()[planned_name(run, name)]
            if not any(weights[kind] for kind in _possible_kinds(plan, answers)):
                raise UsageError(
                    f"`recipes[{recipe.number}].token_weights` gives the weight 0 to every token of the set {name}: "
                    "raise the weight of a kind that the set has, or list other sets in the recipe's key `sets`"
                )


def planned_name(run: Run, name: str) -> str:
    """The name of the set whose plan a set or a draw has. A set with equal tokens is cut from another set."""
    plans = run.settings.set_plans()
    whole = (name, plain_name(name), plain_name(name).removesuffix(TOKENS_SUFFIX))
    return next(one for one in whole if one in plans)


def _possible_kinds(plan: SetPlan, answers: bool) -> set[str]:
    """The kinds of tokens that the samples of a set can have. `answers` is true if seeds have answers."""
    kinds = set[str]()
    for part in plan.parts(BASELINE):
        if part == PROSE and plan.prose_file is not None:
            kinds.add(QUESTION)
        elif part != BASELINE:
            kinds |= set(KINDS) - ({SINK, REASONING} if plan.answer_only else {SINK})
        elif plan.kind == "template":
            kinds |= {QUESTION, TEMPLATE}
        elif plan.kind == "raw":
            kinds |= {QUESTION, ANSWER} if answers else {QUESTION}
        else:
            kinds |= set(KINDS) - {SINK} if answers else {QUESTION, TEMPLATE}
    return kinds


def _is_dense(run: Run) -> bool:
    """True if the target's config.json is on this machine and names no experts."""
    if run.settings.target.model == EMBEDDED:
        return True
    folder = local_target(run) or cached_folder(run.settings.target.model)
    if folder is None or not (folder / "config.json").is_file():
        return False
    return not expert_count(read_config(folder))
