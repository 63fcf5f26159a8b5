"""From sums to what is shown: how spiky the values of one place were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faq_tui.core.activations.histogram import Quantiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SINK, TEMPLATE, QUESTION, REASONING, ANSWER = KINDS = ("sink", "template", "question", "reasoning", "answer")
SIGMAS, MEDIANS = 6.0, 20.0
TOP_CHANNELS = 0.01
METRICS = (
    "max",
    "crest",
    "kurtosis",
    "max_over_median",
    "p999_over_median",
    "over_6_sigma",
    "over_20_median",
    "top_channel_energy",
)  # of all of them: the higher, the rougher
Number = float | None


@dataclass(frozen=True)
class Moments:
    """Of the values of some tokens. `kurtosis` is Pearson's, about the mean: 3 for a normal distribution."""

    values: int  # tokens x channels
    max: float  # of |x|
    rms: Number
    crest: Number  # max / rms
    kurtosis: Number
    sigma: Number  # standard deviation

    @classmethod
    def of(cls, sums: Sequence[float], peak: float) -> Moments:
        """`sums`: count, and the sums of x, x^2, x^3 and x^4. What is not finite, or 0/0, is None."""
        n, s1, s2, s3, s4 = (float(part) for part in sums)
        if not n:
            return cls(0, 0.0, None, None, None, None)
        mean = s1 / n
        rms = math.sqrt(s2 / n) if s2 >= 0 else math.nan
        variance = s2 / n - mean**2
        fourth = s4 / n - 4 * mean * s3 / n + 6 * mean**2 * s2 / n - 3 * mean**4
        return cls(
            int(n),
            float(peak),
            finite(rms),
            ratio(peak, rms),
            ratio(fourth, variance**2),
            math.sqrt(variance) if variance >= 0 else None,
        )


@dataclass(frozen=True)
class Statistics:
    """One place under one set. All but `sink` leave out each sample's first token, where attention parks itself.

    Shares and quantiles are of |x|; `over_6_sigma` counts |x| > 6 standard deviations, `over_20_median`
    |x| > 20 medians, as shares of all values; `top_channel_energy` is the share of the sum of squares that the
    1% of channels with the most of it hold (at least one channel). None: not finite, or nothing to divide by.
    """

    values: int
    max: float
    rms: Number
    crest: Number
    kurtosis: Number
    median: Number
    p999: Number
    max_over_median: Number
    p999_over_median: Number
    over_6_sigma: Number
    over_20_median: Number
    top_channel_energy: Number
    kinds: dict[str, Moments] = field(default_factory=dict)

    @property
    def sink(self) -> Moments | None:
        return self.kinds.get(SINK)


def statistics(moments: Array, peaks: Array, quantiles: Quantiles, energy: Array) -> Statistics:
    """`moments`: [kinds, 5], `peaks`: [kinds], `energy`: [channels]; of `quantiles` the sink was left out."""
    import numpy as np

    whole = Moments.of(moments[1:].sum(0), float(np.max(peaks[1:], initial=0.0)))
    there = len(quantiles) > 0
    median, p999 = (quantiles.at(0.5), quantiles.at(0.999)) if there else (None, None)
    of_sigma = SIGMAS * whole.sigma if there and whole.sigma is not None else None
    of_median = MEDIANS * median if median else None
    top = max(1, math.ceil(TOP_CHANNELS * len(energy)))
    return Statistics(
        values=whole.values,
        max=whole.max,
        rms=whole.rms,
        crest=whole.crest,
        kurtosis=whole.kurtosis,
        median=median,
        p999=p999,
        max_over_median=ratio(whole.max, median),
        p999_over_median=ratio(p999, median),
        over_6_sigma=None if of_sigma is None else quantiles.above(of_sigma) / len(quantiles),
        over_20_median=None if of_median is None else quantiles.above(of_median) / len(quantiles),
        top_channel_energy=ratio(float(np.sort(energy)[::-1][:top].sum()), float(energy.sum())),
        kinds={
            name: Moments.of(sums, float(peak))
            for name, sums, peak in zip(KINDS, moments, peaks, strict=False)
            if sums[0]
        },
    )


def ratio(above: float | None, below: float | None) -> Number:
    return None if above is None or not below else finite(above / below)


def finite(value: float) -> Number:
    return value if math.isfinite(value) else None
