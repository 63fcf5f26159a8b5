"""Paired bootstrap: compute confidence intervals of values and differences by resampling items and draws.

Items (windows, answers, questions) are drawn with replacement, and every subject gets the same items (Efron and
Tibshirani 1993, "An introduction to the bootstrap", chapter 13). Intervals are expanded percentile intervals
(Hesterberg 2015, "What teachers should know about the bootstrap"). For n items, plain percentile intervals are too
narrow by the factor sqrt((n - 1) / n). Plain percentile intervals also ignore that Student's t has longer tails than
the normal distribution. These errors of plain percentile intervals matter if there are few items.

If a recipe was run on several draws of its calibration set, the bootstrap first resamples the draws and then the
items. All draws were measured on the same items. With few draws, only few different resamples of the draws exist. For
three draws, there are ten. Therefore the interval is stretched to a width that is computed from Student's t. The
squared half-width is (t[n - 1] x error over items)^2 + (t[draws - 1] x error over draws)^2. This is how Graybill and
Wang (1980) combine variances.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol

from faq_tui.core.stats import t_distribution
from faq_tui.core.stats.sums import Sums

if TYPE_CHECKING:
    from faq_tui.core.stats.sums import Array

    # A statistic takes two arrays: the weights of the draws [rows, draws] and the weights of the items [rows, items].
    # Returns values [rows].
    Statistic = Callable[[Array, Array], Array]

LEVEL = 0.95
MIN_ITEMS = 5  # an interval needs at least this many items
SEED = 20260120

# The sums of one artefact, or a list with the sums of one artefact for each draw.
Draws = Sums | Sequence[Sums]


class Measure(Protocol):
    """A quantity to estimate, such as a metric of `core.evaluation`. The quantity is computed from weighted items."""

    @property
    def higher_is_better(self) -> bool: ...

    def values(self, sums: Sums, weights: Array) -> Array:
        """Compute one value for each row of `weights` [rows, items].

        A weight says how many times its item is counted.
        """


@dataclass(frozen=True)
class Estimate:
    """A value and its 95% interval [low, high].

    `low` and `high` are None if there are too few items, or if a value is not finite.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def excludes(self, point: float) -> bool:
        return self.low is not None and self.high is not None and not self.low <= point <= self.high

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval; None if there is no interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    def within(self, smallest: float, largest: float) -> Estimate:
        """The estimate with its interval cut to the possible values.

        An interval over few draws is wide, because its width is computed from Student's t. So it may contain values
        that are not possible, such as a share above 1.
        """
        if self.low is None or self.high is None:
            return self
        low, high = max(self.low, smallest), min(self.high, largest)
        return Estimate(self.value, min(low, self.value), max(high, self.value))


def of_metric(metric: Measure, sums: Draws, resamples: int) -> Estimate:
    """Estimate a metric of one model. If the model has several draws, the value is the mean over the draws."""
    draws = _listed(sums)
    return _estimate(_mean(metric, draws), draws, resamples)[0]


def difference(metric: Measure, ours: Draws, theirs: Draws, resamples: int) -> Estimate:
    """Estimate metric(ours) - metric(theirs). `ours` and `theirs` use the same resampled items and draws."""
    return compared(metric, ours, theirs, resamples)[0]


def compared(
    metric: Measure, ours: Draws, theirs: Draws, resamples: int, widening: float = 1.0
) -> tuple[Estimate, float | None]:
    """The difference and its two-sided p-value; the p-value is None if there is no interval.

    For one draw, p is computed from the level at which one end of the interval would be zero. If all resamples have
    the same sign, p is computed from the standard deviation of the resamples. For several draws, p is computed from
    Student's t. `widening` is a factor for the standard error between draws; it is above 1 if draws share seeds
    (core.assembly.draws).
    """
    mine, others = _paired(ours, theirs)
    one, other = _mean(metric, mine), _mean(metric, others)
    return _estimate(lambda d, i: one(d, i) - other(d, i), mine, resamples, widening)


def recovered(
    metric: Measure, ours: Draws, baseline: Draws, unquantized: Sums, resamples: int, widening: float = 1.0
) -> Estimate | None:
    """The share (baseline - ours) / (baseline - unquantized).

    The share is 1 if our data recovers everything that quantization lost, and 0 if our data recovers nothing.

    Returns None if the baseline is not significantly worse than the unquantized model. Also returns None if a value
    is not finite. A value is not finite if, for example, the baseline loses nothing in one of the resamples.
    """
    mine, base = _paired(ours, baseline)
    _same_items(mine[0], unquantized)
    change = difference(metric, base, [unquantized] * len(base), resamples)
    if not change.excludes(0.0) or (change.value > 0) == metric.higher_is_better:
        return None
    one, other, target = (_mean(metric, draws) for draws in (mine, base, [unquantized] * len(base)))

    def share(draws: Array, items: Array) -> Array:
        import numpy as np

        lost = other(draws, items)
        with np.errstate(divide="ignore", invalid="ignore"):
            share: Array = (lost - one(draws, items)) / (lost - target(draws, items))
        return share

    estimate = _estimate(share, mine, resamples, widening)[0]
    return estimate if estimate.low is not None else None


def _mean(metric: Measure, draws: Sequence[Sums]) -> Statistic:
    def mean(draw_weights: Array, item_weights: Array) -> Array:
        import numpy as np

        values = np.stack([metric.values(sums, item_weights) for sums in draws], axis=1)
        means: Array = (draw_weights * values).sum(axis=1) / draw_weights.sum(axis=1)
        return means

    return mean


def _estimate(
    statistic: Statistic, draws: Sequence[Sums], resamples: int, widening: float = 1.0
) -> tuple[Estimate, float | None]:
    import numpy as np

    with np.errstate(invalid="ignore", over="ignore"):
        return _of_statistic(statistic, draws, resamples, widening)


def _of_statistic(
    statistic: Statistic, draws: Sequence[Sums], resamples: int, widening: float
) -> tuple[Estimate, float | None]:
    import numpy as np

    items, ones = len(draws[0]), np.ones((1, len(draws)))
    value = float(statistic(ones, np.ones((1, items)))[0])
    if items < MIN_ITEMS or not np.isfinite(value):
        return Estimate(value), None
    drawn = resampled(items, resamples, SEED)
    every = np.ones((resamples, len(draws)))
    over_items = statistic(every, drawn)
    if len(draws) == 1:
        if not np.isfinite(over_items).all():
            return Estimate(value), None
        tail = tail_share(items)
        low, high = np.quantile(over_items, [tail, 1.0 - tail])
        return Estimate(value, float(low), float(high)), _p_value(value, over_items, items)
    over_both = statistic(resampled(len(draws), resamples, SEED + 1), drawn)
    singles = statistic(np.eye(len(draws)), np.ones((len(draws), items)))
    if not (np.isfinite(over_both).all() and np.isfinite(singles).all()):
        return Estimate(value), None
    return _several_draws(value, over_items, over_both, singles, items, widening)


def _several_draws(
    value: float, over_items: Array, over_both: Array, singles: Array, items: int, widening: float
) -> tuple[Estimate, float | None]:
    """The estimate over several draws.

    `over_items` holds values from resamples of the items. `over_both` holds values from resamples of both the draws
    and the items. `singles` holds one value for each draw.
    """
    import numpy as np

    of_items = float(over_items.std() * math.sqrt(items / (items - 1)))
    of_draws = widening * float(singles.std(ddof=1) / math.sqrt(len(singles)))
    if of_items == of_draws == 0.0:
        return Estimate(value, value, value), float(value == 0.0)
    side = (1.0 - LEVEL) / 2
    tails, of_few_items = t_distribution.table(items - 1)
    widths = np.hypot(of_few_items * of_items, t_distribution.table(len(singles) - 1)[1] * of_draws)
    half = float(np.interp(-side, -tails, widths))
    stretch = half / (-NormalDist().inv_cdf(side) * float(over_both.std()))
    low, high = value + stretch * (np.quantile(over_both, [side, 1.0 - side]) - value)
    return Estimate(value, float(low), float(high)), 2 * float(np.interp(abs(value), widths, tails))


def _p_value(value: float, values: Array, items: int) -> float:
    import numpy as np

    share = min(float((values <= 0).mean()), float((values >= 0).mean()))
    if share >= 0.5:
        return 1.0
    floor = 0.5 / len(values)
    z = -NormalDist().inv_cdf(max(share, floor))
    if share < floor:
        deviation = float(values.std())
        z = max(z, abs(value) / deviation) if deviation > 0 else np.inf
    return 2 * t_distribution.tail(z * math.sqrt((items - 1) / items), items - 1)


@lru_cache(maxsize=8)
def resampled(items: int, resamples: int, seed: int) -> Array:
    """How often each item was drawn in each resample, as an array [resamples, items].

    Equal arguments give equal results.
    """
    import numpy as np

    counts = np.random.default_rng(seed).multinomial(items, np.full(items, 1.0 / items), size=resamples)
    weights: Array = counts.astype(np.float64)
    weights.setflags(write=False)
    return weights


def tail_share(items: int) -> float:
    """The share of resamples below the interval, which is also the share above it.

    For n items, this share is Phi(-sqrt(n / (n - 1)) t[n - 1]).
    """
    t = t_distribution.quantile((1.0 - LEVEL) / 2, items - 1)
    return NormalDist().cdf(-t * math.sqrt(items / (items - 1)))


def _listed(sums: Draws) -> list[Sums]:
    return [sums] if isinstance(sums, Sums) else list(sums)


def _paired(ours: Draws, theirs: Draws) -> tuple[list[Sums], list[Sums]]:
    mine, others = _listed(ours), _listed(theirs)
    if len(mine) != len(others):
        raise ValueError("a paired comparison needs the same draws on both sides")
    _same_items(*mine, *others)
    return mine, others


def _same_items(*all_sums: Sums) -> None:
    import numpy as np

    first = all_sums[0]
    for sums in all_sums:
        tokens, others = (side.columns.get("tokens", np.zeros(0)) for side in (sums, first))
        if len(sums) != len(first) or not np.array_equal(tokens, others):
            raise ValueError("a paired comparison needs the same items on all sides")
