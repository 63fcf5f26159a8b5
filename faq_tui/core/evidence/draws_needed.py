"""Compute how many draws of the calibration sets give an interval of a wanted width.

With n draws, the squared half-width of the interval is (t[items - 1] x error over items)^2 + (t[n - 1] x spread /
sqrt(n))^2, as in `core.stats.bootstrap`. Only the second part shrinks with more draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from faq_tui.core.assembly.draws import Overlap
from faq_tui.core.evidence.model import Comparison, DrawsNeeded, MetricOutcome, Wanted
from faq_tui.core.extensions import METRICS
from faq_tui.core.stats.bootstrap import LEVEL
from faq_tui.core.stats.t_distribution import quantile

WIDTHS = (0.05, 0.02, 0.01)  # wanted half-widths of the interval, as shares of the baseline's value
MOST = 20  # the largest value of `evaluate.repeats`
DRAWS, ITEMS, SEEDS = "draws", "items", "seeds"


def draws_needed(
    comparisons: Sequence[Comparison],
    kinds: Mapping[str, str],
    shared: Overlap | None,
    seconds_per_draw: float | None,
) -> tuple[DrawsNeeded, ...]:
    """How many draws each comparison needs, for the main metric of each held-out text.

    `kinds` maps each text to its kind. Only comparisons of sets with equal numbers of tokens are listed. If there is
    no such comparison, all other comparisons are listed. A comparison is left out if it has no interval, or if the
    spread between draws is unknown.
    """
    chosen = [c for c in comparisons if c.equal == "tokens" and not c.same]
    chosen = chosen or [c for c in comparisons if not c.same]
    found = []
    for comparison in chosen:
        for text, outcomes in comparison.texts.items():
            metric, outcome = next(iter(outcomes.items()))
            one = _needed(comparison, text, kinds[text], metric, outcome, shared, seconds_per_draw)
            if one is not None:
                found.append(one)
    return tuple(found)


def _needed(
    comparison: Comparison,
    text: str,
    kind: str,
    metric: str,
    outcome: MetricOutcome,
    shared: Overlap | None,
    seconds_per_draw: float | None,
) -> DrawsNeeded | None:
    known, difference = METRICS.get(metric), outcome.difference
    unit = 1.0 if known.percent else abs(outcome.baseline)
    spread = outcome.spread if outcome.spread is not None else known.close.get(kind)
    shown = difference.half_width
    if not spread or shown is None or not math.isfinite(unit) or not unit:
        return None
    half = shown if outcome.whole_half is None else outcome.whole_half
    of_draws = half_width(0.0, spread, comparison.draws, shared) if outcome.spread is not None else 0.0
    of_items = math.sqrt(max(0.0, half**2 - of_draws**2))
    wanted = tuple(
        _wanted(share, share * unit, of_items, spread, comparison.draws, shared, seconds_per_draw) for share in WIDTHS
    )
    return DrawsNeeded(
        recipe=comparison.recipe,
        source=comparison.source,
        equal=comparison.equal,
        text=text,
        metric=metric,
        draws=comparison.draws,
        half_width=shown / unit,
        spread=spread / unit,
        assumed=outcome.spread is None,
        wanted=wanted,
    )


def half_width(of_items: float, spread: float, draws: int, shared: Overlap | None) -> float:
    """The half-width of the interval with `draws` draws.

    `draws` is at least 2. `of_items` is the part of the half-width that comes from the choice of items.
    """
    t = quantile((1.0 - LEVEL) / 2, draws - 1)
    widening = 1.0 if shared is None else shared.widening(draws)
    return math.hypot(of_items, t * widening * spread / math.sqrt(draws))


def _wanted(
    share: float,
    half: float,
    of_items: float,
    spread: float,
    made: int,
    shared: Overlap | None,
    seconds_per_draw: float | None,
) -> Wanted:
    for draws in range(2, MOST + 1):
        if half_width(of_items, spread, draws, shared) <= half:
            further = max(0, draws - made)
            return Wanted(share, draws, None if seconds_per_draw is None else further * seconds_per_draw)
    if of_items >= half:
        return Wanted(share, None, None, ITEMS)
    if shared is not None and half_width(of_items, spread, MOST, None) <= half:
        return Wanted(share, None, None, SEEDS)
    return Wanted(share, None, None, DRAWS)
