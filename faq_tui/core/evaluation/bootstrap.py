"""Paired bootstrap over items: how much of a number, or of a difference, is the luck of the held-out text.

Items (windows, answers) are drawn with replacement, the same ones for every subject (Efron and Tibshirani
1993, "An introduction to the bootstrap", chapter 13). Intervals are percentiles, at levels widened for few
items (Hesterberg 2015, "What teachers should know about the bootstrap", expanded percentile interval): plain
ones are too narrow by the factor sqrt((n - 1) / n) and know nothing of Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

from faq_tui.core.evaluation.metrics import Sums, metric

if TYPE_CHECKING:
    from faq_tui.core.evaluation.metrics import Array

LEVEL = 0.95
MIN_ITEMS = 5  # of fewer there is no honest interval
SEED = 20260120


@dataclass(frozen=True)
class Estimate:
    """A value and its 95% interval; None where there are too few items, or a number is not finite."""

    value: float
    low: float | None = None
    high: float | None = None

    def excludes(self, point: float) -> bool:
        return self.low is not None and self.high is not None and not self.low <= point <= self.high


def of_metric(name: str, sums: Sums, resamples: int) -> Estimate:
    """The metric of one subject."""
    return estimate(lambda weights: metric(name, sums, weights), len(sums), resamples)


def difference(name: str, ours: Sums, theirs: Sums, resamples: int) -> Estimate:
    """metric(ours) - metric(theirs), both on the same resampled items."""
    _same_items(ours, theirs)
    return estimate(lambda weights: metric(name, ours, weights) - metric(name, theirs, weights), len(ours), resamples)


def recovered(name: str, ours: Sums, baseline: Sums, unquantized: Sums, resamples: int) -> Estimate | None:
    """(baseline - ours) / (baseline - unquantized): 1 is all of what quantization lost, 0 none of it.

    None where the baseline lost nothing that can be told from noise, since a share of nothing has no meaning,
    and where a number is not finite.
    """
    _same_items(ours, baseline, unquantized)
    if not difference(name, baseline, unquantized, resamples).excludes(0.0):
        return None

    def share(weights: Array) -> Array:
        base = metric(name, baseline, weights)
        share: Array = (base - metric(name, ours, weights)) / (base - metric(name, unquantized, weights))
        return share

    found = estimate(share, len(ours), resamples)
    return found if math.isfinite(found.value) else None


def estimate(statistic: Callable[[Array], Array], items: int, resamples: int) -> Estimate:
    """`statistic` maps weights [rows, items] to values [rows]."""
    import numpy as np

    value = float(statistic(np.ones((1, items)))[0])
    if items < MIN_ITEMS or not np.isfinite(value):
        return Estimate(value)
    values = statistic(resampled(items, resamples, SEED))
    if not np.isfinite(values).all():
        return Estimate(value)
    tail = tail_share(items)
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Estimate(value, float(low), float(high))


@lru_cache(maxsize=4)
def resampled(items: int, resamples: int, seed: int) -> Array:
    """[resamples, items]: how often each item was drawn. The same arguments give the same draws."""
    import numpy as np

    counts = np.random.default_rng(seed).multinomial(items, np.full(items, 1.0 / items), size=resamples)
    weights: Array = counts.astype(np.float64)
    weights.setflags(write=False)
    return weights


def tail_share(items: int) -> float:
    """The percentile that bounds the interval on either side: Phi(-sqrt(n / (n - 1)) t[n - 1])."""
    freedom = items - 1
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    # Student's t by Cornish and Fisher's expansion (Abramowitz and Stegun 26.7.5).
    t = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    return NormalDist().cdf(-t * (items / freedom) ** 0.5)


def _same_items(*all_sums: Sums) -> None:
    import numpy as np

    if not all(np.array_equal(sums.tokens, all_sums[0].tokens) for sums in all_sums):
        raise ValueError("a paired comparison needs the same items on all sides")
