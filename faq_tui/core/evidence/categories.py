"""Compare each set with its baseline on the held-out answers of one category of seeds.

A set can help on one kind of question and hurt on another. The overall comparison then shows only their mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean

from faq_tui.core.base.text import storable
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import ANSWERS, kind_of
from faq_tui.core.evaluation.metrics import KL, metrics_in
from faq_tui.core.evidence.compare import both_sides, measured_pairs, widening_of
from faq_tui.core.evidence.model import CategoryOutcome
from faq_tui.core.run.run import Run
from faq_tui.core.stats.bootstrap import MIN_ITEMS, compared
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store import seeds
from faq_tui.core.store.measurements import all_items


def by_category(run: Run, measured: Mapping[str, Mapping[str, Sums]]) -> tuple[CategoryOutcome, ...]:
    """The outcomes of each comparison, in the order of the comparisons and of the categories' names.

    `measured` is the result of `collect.measured`. A category with fewer than MIN_ITEMS items is left out. A text
    with fewer than two other categories has no outcomes.
    """
    texts = {
        text: numbers
        for text, sums in measured[UNQUANTIZED].items()
        if kind_of(text) == ANSWERS and len(numbers := _categories(run, text, len(sums))) > 1
    }
    return tuple(_outcomes(run, measured, texts))


def _categories(run: Run, text: str, count: int) -> dict[str, list[int]]:
    """Maps each category that has enough items to their numbers. Items without a category are left out."""
    bodies = all_items(run.store, text)
    if len(bodies) != count:
        return {}
    known = {
        storable(seed.messages[-1]["content"]): seed.category
        for seed in seeds.by_role(run.store, "heldout")
        if seed.category
    }
    found: dict[str, list[int]] = {}
    for number, body in enumerate(bodies):
        if category := known.get(body.get("question", "")):
            found.setdefault(category, []).append(number)
    return {category: numbers for category, numbers in sorted(found.items()) if len(numbers) >= MIN_ITEMS}


def _outcomes(
    run: Run, measured: Mapping[str, Mapping[str, Sums]], texts: Mapping[str, dict[str, list[int]]]
) -> Iterator[CategoryOutcome]:
    resamples = run.settings.evaluate.bootstrap
    for recipe, source, equal, pairs in measured_pairs(run, measured):
        for text, categories in texts.items():
            sides = both_sides(measured, pairs, text)
            if sides is None or not _have_kl([*sides[0], *sides[1]]):
                continue
            widening = widening_of(run, len(pairs))
            for category, numbers in categories.items():
                mine, others = ([sums.at(numbers) for sums in side] for side in sides)
                yield CategoryOutcome(
                    *(recipe, source, equal, text, category, len(numbers)),
                    ours=fmean(map(KL.value_of, mine)),
                    baseline=fmean(map(KL.value_of, others)),
                    difference=compared(KL, mine, others, resamples, widening)[0],
                )


def _have_kl(sides: list[Sums]) -> bool:
    return KL in metrics_in(ANSWERS, *(sums.columns for sums in sides))
