"""Compare each source's set with the baseline. The two compared models have the same recipe.

There are two kinds of comparisons. In the first kind, both sets have the same number of samples. In the second kind,
both sets have the same number of tokens. If a set from `[sets]` copies the size of another set, these two sets are
compared. If exactly one of them holds only the baseline's samples, it is the baseline of the comparison, whichever of
the two copies the size. If a set from `[sets]` and the baseline have the same number of samples, these two sets are
compared, too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from faq_tui.core.assembly.build import EQUAL
from faq_tui.core.assembly.draws import overlap
from faq_tui.core.assembly.sample import MIN_TOKENS
from faq_tui.core.evaluation.identity import UNQUANTIZED, wanted_artefacts
from faq_tui.core.evaluation.kinds import kind_of
from faq_tui.core.evaluation.metrics import Metric, metrics_in
from faq_tui.core.evidence.model import (
    BETTER,
    LEANS_BETTER,
    LEANS_WORSE,
    SAME,
    UNKNOWN,
    WITHIN_NOISE,
    WORSE,
    Comparison,
    MetricOutcome,
)
from faq_tui.core.extensions import METRICS
from faq_tui.core.run.run import Run
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.settings.sets import draw_name
from faq_tui.core.stats.bootstrap import Estimate, compared, of_metric, recovered
from faq_tui.core.stats.multiple_testing import RATE, adjusted
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.artefacts import Artefact
from faq_tui.core.store.sets import SetRow, all_sets

Pair = tuple[Artefact, Artefact]

SUFFIXES = {"samples": "", "tokens": TOKENS_SUFFIX}


def compare_all(run: Run, measured: dict[str, dict[str, Sums]]) -> tuple[Comparison, ...]:
    """The comparisons of all pairs of artefacts that were measured on the same text.

    `measured[subject][text]` holds the sums of the text's items.
    """
    comparisons = [
        _compare(run, measured, recipe, source, equal, pairs)
        for recipe, source, equal, pairs in measured_pairs(run, measured)
    ]
    return _corrected([comparison for comparison in comparisons if comparison.texts])


def measured_pairs(run: Run, measured: Collection[str]) -> Iterator[tuple[str, str, str, list[Pair]]]:
    """Like `_pairs`, with only the draws in which both artefacts are measured. `measured` holds their folders."""
    for recipe, source, equal, all_pairs in _pairs(run):
        pairs = [pair for pair in all_pairs if all(artefact.folder in measured for artefact in pair)]
        if pairs:
            yield recipe, source, equal, pairs


def _pairs(run: Run) -> Iterator[tuple[str, str, str, list[Pair]]]:
    """Yield (recipe, source, unit, pairs of artefacts).

    There is one pair for each draw. If the unit is "samples", both sets of a pair have the same number of samples. If
    the unit is "tokens", both have the same number of tokens.
    """
    made = {artefact.name: artefact for artefact in wanted_artefacts(run)}
    for recipe in run.settings.recipes:
        planned = run.settings.sets_of(recipe)
        for source, equal, sets in _set_pairs(run):
            pairs = []
            for number in range(1, run.settings.evaluate.repeats + 1):
                names = [draw_name(name, number) for name in sets]
                pair = [made[recipe.folder(n)] for n in names if n in planned and recipe.folder(n) in made]
                if len(pair) == 2:
                    pairs.append((pair[0], pair[1]))
            if pairs:
                yield recipe.folder("").removesuffix("-"), source, equal, pairs


def planned(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield (recipe, source, unit) of each comparison that the settings ask for, made or not."""
    for recipe in run.settings.recipes:
        wanted = run.settings.sets_of(recipe)
        for source, equal, sets in _set_pairs(run):
            if all(name in wanted for name in sets):
                yield recipe.folder("").removesuffix("-"), source, equal


def _set_pairs(run: Run) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Yield (name, unit, (our set, other set)) for each comparison.

    The name is a source, or a set from `[sets]`. If the unit is "samples", both sets have the same number of samples.
    If the unit is "tokens", both have the same number of tokens. If our set holds only plain seeds and the other set
    does not, the two sets are swapped, so that the plain seeds are the other set.
    """
    rows, repeats, plans = all_sets(run.store), run.settings.evaluate.repeats, run.settings.set_plans()
    plain = {name for name, plan in plans.items() if set(plan.made_from or ()) == {BASELINE}}
    intended = list(_intended_pairs(run, rows))
    named = {(name, equal) for name, equal, _ in intended}
    for name, equal, (ours, theirs) in intended:
        if _difference(rows, repeats, equal, (ours, theirs)) is not None:
            continue
        if ours in plain and theirs in plans.keys() - plain and (theirs, equal) not in named:
            yield theirs, equal, (theirs, ours)
        else:
            yield name, equal, (ours, theirs)


def _intended_pairs(run: Run, rows: Mapping[str, SetRow]) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Like `_set_pairs`, but also yields pairs whose sizes differ although the settings ask for equal sizes."""
    settings = run.settings
    for source in settings.sources:
        for equal, suffix in SUFFIXES.items():
            yield source, equal, (f"{source}{suffix}", f"{BASELINE}{suffix}")
    for name, plan in settings.set_plans().items():
        if name in (BASELINE, *settings.sources):
            continue
        matched = {equal: other for equal, other in plan.match.model_dump().items() if other is not None}
        for equal, other in matched.items():
            yield name, equal, (name, other)
        ours, theirs = rows.get(name), rows.get(BASELINE)
        if "samples" not in matched and ours and theirs and ours.samples == theirs.samples:
            yield name, "samples", (name, BASELINE)


@dataclass(frozen=True)
class Unequal:
    """Two sets that should have equal sizes, but do not, so they are not compared at equal sizes."""

    name: str  # the source or the set that is not compared
    other: str  # the set that it should be compared with
    equal: str  # "samples" or "tokens"
    ours: int  # the number of samples or tokens of `name`; if there are several draws, their mean
    theirs: int


def unequal(run: Run) -> Iterator[Unequal]:
    """Yield each comparison that the settings ask for, but that would compare sets of different sizes."""
    rows, repeats = all_sets(run.store), run.settings.evaluate.repeats
    wanted = [set(run.settings.sets_of(recipe)) for recipe in run.settings.recipes]
    for name, equal, sets in _intended_pairs(run, rows):
        sizes = _difference(rows, repeats, equal, sets)
        if sizes is not None and any(of_recipe.issuperset(sets) for of_recipe in wanted):
            yield Unequal(name, sets[1], equal, *sizes)


def _difference(
    rows: Mapping[str, SetRow], repeats: int, equal: str, sets: tuple[str, str]
) -> tuple[int, int] | None:
    """The sizes of two sets, as means over all draws, if the sets differ in size. Otherwise None.

    Sizes that differ by less than the share `EQUAL` are equal. A set that is cut to a number of tokens may have up to
    MIN_TOKENS - 1 tokens too few (see `assembly.matching`).
    """
    draws = [[rows.get(draw_name(name, number)) for name in sets] for number in range(1, repeats + 1)]
    sizes = [(_size(ours, equal), _size(theirs, equal)) for ours, theirs in draws if ours and theirs]
    if not sizes:
        return None
    slack = MIN_TOKENS - 1 if equal == "tokens" else 0
    theirs = fmean(other for _, other in sizes)
    apart = fmean(abs(one - other) for one, other in sizes)
    return (round(fmean(one for one, _ in sizes)), round(theirs)) if apart > max(slack, EQUAL * theirs) else None


def _size(row: SetRow, equal: str) -> int:
    return row.tokens if equal == "tokens" else row.samples


def _compare(
    run: Run, measured: dict[str, dict[str, Sums]], recipe: str, source: str, equal: str, pairs: list[Pair]
) -> Comparison:
    ours, theirs = pairs[0]
    same = all(one.folder == other.folder for one, other in pairs)
    texts, widening = {}, widening_of(run, len(pairs))
    for text, target in measured[UNQUANTIZED].items():
        sides = both_sides(measured, pairs, text)
        if sides is not None:
            mine, others = sides
            texts[text] = {
                metric.name: _outcome(metric, mine, others, target, same, run.settings.evaluate.bootstrap, widening)
                for metric in metrics_in(kind_of(text), *(sums.columns for sums in (*mine, *others, target)))
            }
    return Comparison(
        recipe=recipe,
        source=source,
        equal=equal,
        ours=ours.name,
        baseline=theirs.name,
        our_samples=round(fmean(one.samples for one, _ in pairs)),
        our_tokens=round(fmean(one.tokens for one, _ in pairs)),
        baseline_samples=round(fmean(other.samples for _, other in pairs)),
        baseline_tokens=round(fmean(other.tokens for _, other in pairs)),
        same=same,
        draws=len(pairs),
        texts=texts,
    )


def widening_of(run: Run, draws: int) -> float:
    """The factor for the standard error between draws; it is above 1 if the draws share seeds."""
    shared = overlap(run)
    return 1.0 if shared is None else shared.widening(draws)


def both_sides(
    measured: Mapping[str, Mapping[str, Sums]], pairs: Sequence[Pair], text: str
) -> tuple[list[Sums], list[Sums]] | None:
    """The sums of our artefacts and of the others on `text`, one for each draw; None if one of them is missing."""
    both = [(measured[one.folder], measured[other.folder]) for one, other in pairs]
    if not all(text in one and text in other for one, other in both):
        return None
    return [one[text] for one, _ in both], [other[text] for _, other in both]


def _outcome(
    metric: Metric, ours: list[Sums], baseline: list[Sums], target: Sums, same: bool, resamples: int, widening: float
) -> MetricOutcome:
    whole, p = compared(metric, ours, baseline, resamples, widening)
    change = whole.within(-metric.largest_change, metric.largest_change)
    share = None if same else recovered(metric, ours, baseline, target, resamples, widening)
    if share is not None and metric.value_of(target) == metric.best:
        share = share.within(-math.inf, 1.0)  # nothing can be better than the unquantized model
    return MetricOutcome(
        ours=of_metric(metric, ours, resamples).value,
        baseline=of_metric(metric, baseline, resamples).value,
        difference=change,
        recovered=share,
        p=None if same else p,
        p_adjusted=None,
        verdict=SAME if same else verdict(metric, change, p),
        spread=_spread(metric, ours, baseline),
        whole_half=None if change == whole else whole.half_width,
    )


def _spread(metric: Metric, ours: list[Sums], baseline: list[Sums]) -> float | None:
    """The standard deviation of the differences over the draws.

    Returns None if there is only one draw, or if the standard deviation is not finite.
    """
    if len(ours) == 1:
        return None
    changes = [metric.value_of(one) - metric.value_of(other) for one, other in zip(ours, baseline, strict=True)]
    return stdev(changes) if all(map(math.isfinite, changes)) else None


def _corrected(comparisons: list[Comparison]) -> tuple[Comparison, ...]:
    """Adjust the p-values for the number of outcomes in all comparisons.

    The verdicts follow the adjusted p-values. Metrics with `of_tokens` are adjusted separately.
    """
    left = {}
    for of_tokens in (False, True):
        left[of_tokens] = iter(
            adjusted(
                [
                    outcome.p
                    for comparison in comparisons
                    for of_text in comparison.texts.values()
                    for name, outcome in of_text.items()
                    if METRICS.get(name).of_tokens == of_tokens
                ]
            )
        )

    def correct(name: str, outcome: MetricOutcome) -> MetricOutcome:
        p = next(left[METRICS.get(name).of_tokens])
        word = outcome.verdict if outcome.p is None else verdict(METRICS.get(name), outcome.difference, p)
        return replace(outcome, p_adjusted=p, verdict=word)

    return tuple(
        replace(
            comparison,
            texts={
                text: {name: correct(name, outcome) for name, outcome in of_text.items()}
                for text, of_text in comparison.texts.items()
            },
        )
        for comparison in comparisons
    )


def verdict(metric: Metric, change: Estimate, p_adjusted: float | None) -> str:
    """The verdict on `change`, the difference ours - baseline.

    The verdict depends on the interval of this difference and on the adjusted p-value.
    """
    if change.low is None or p_adjusted is None or not math.isfinite(change.value):
        return UNKNOWN
    if not change.excludes(0.0):
        return WITHIN_NOISE
    better = (change.value > 0) == metric.higher_is_better
    if p_adjusted > RATE:
        return LEANS_BETTER if better else LEANS_WORSE
    return BETTER if better else WORSE
