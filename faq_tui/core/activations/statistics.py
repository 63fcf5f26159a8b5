"""Compute statistics of one module's input, such as crest, kurtosis and quantiles.

With each token, an accumulator updates its sums, its maxima and its landscape. The accumulator does not store the
activations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faq_tui.core.activations.histogram import Histogram, Quantiles
from faq_tui.core.chat.token_kinds import KINDS, SINK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


SLICES, COLUMNS = 128, 256  # a landscape has at most 128 slices and at most 256 columns
CHUNK_VALUES = 1 << 18  # a chunk takes 1 MB in float32, so it fits into the processor's cache
MOMENTS = 5  # the number of moments: the count, and the sums of x, x^2, x^3 and x^4

Run = tuple[int, int, int]  # (first token, token after the last one, slice of the landscape)


def column_width(channels: int) -> int:
    """The number of neighbouring channels that share one column of a landscape."""
    return -(-channels // COLUMNS)


class Accumulator:
    """Accumulates sums and maxima of a module's input.

    `kinds` is the number of token kinds. Kind 0 is the attention sink. Tokens of kind 0 are counted only in the sums
    and peaks of kind 0. All other results exclude the tokens of kind 0.
    """

    def __init__(self, kinds: int, device: Any) -> None:
        import torch

        self.kinds, self.device = kinds, device
        self.moments = torch.zeros((kinds, MOMENTS), dtype=torch.float64, device=device)
        self.peaks = torch.zeros(kinds, device=device)
        self.row_moments = torch.zeros_like(self.moments)
        self.row_peaks = torch.zeros_like(self.peaks)
        self.histogram: Histogram | None = None
        self.absmax: Any = None  # [channels]
        self.row_absmax: Any = None
        self.energy: Any = None  # [channels], sums of squares in float64
        self.landscape: Any = None  # [slices, columns]
        self.finite = True

    def add(self, x: Any, kinds: Any, runs: Sequence[Run], first_is_sink: bool) -> None:
        """Add `x`, a tensor [tokens, channels] of any float dtype.

        `kinds` is int64 [tokens]. `runs` lists consecutive ranges of tokens. Together, the ranges contain all tokens.
        """
        import torch

        if self.absmax is None:
            self._begin(x)
        step = max(1, CHUNK_VALUES // x.shape[1])
        for start in range(0, x.shape[0], step):
            part = x[start : start + step].to(torch.float32).contiguous()
            clipped = [(max(a - start, 0), min(b - start, len(part)), where) for a, b, where in runs]
            first = first_is_sink and start == 0
            self._add(part, kinds[start : start + step], [run for run in clipped if run[0] < run[1]], first)

    def _begin(self, x: Any) -> None:
        import torch

        channels = x.shape[1]
        self.histogram = Histogram(x.dtype)
        self.absmax = torch.zeros(channels, device=self.device)
        self.row_absmax = torch.zeros_like(self.absmax)
        self.energy = torch.zeros(channels, dtype=torch.float64, device=self.device)
        columns = -(-channels // column_width(channels))
        self.landscape = torch.zeros((SLICES, columns), device=self.device)

    def _add(self, x: Any, kinds: Any, runs: Sequence[Run], first_is_sink: bool) -> None:
        import torch

        size = x.abs()
        squares = x * x
        sums = torch.stack(
            (
                torch.full((len(x),), float(x.shape[1]), device=x.device),
                x.sum(-1),
                squares.sum(-1),
                torch.linalg.vecdot(squares, x),
                torch.linalg.vecdot(squares, squares),
            ),
            dim=-1,
        )
        self.row_moments.index_add_(0, kinds, sums.double())
        tops = size.amax(-1)
        self.row_peaks.scatter_reduce_(0, kinds, tops, "amax")
        skip = int(first_is_sink)
        if skip == len(x):
            return
        self.energy += squares[skip:].sum(0)
        self._add_peaks(size, [(max(start, skip), end, where) for start, end, where in runs if end > skip])
        largest = float(tops[skip:].amax())
        if largest < float("inf"):  # the comparison is also False if a value is NaN
            assert self.histogram is not None
            self.histogram.add(size[skip:], largest)
        else:
            self.finite = False

    def _add_peaks(self, size: Any, runs: Sequence[Run]) -> None:
        import torch

        highest = torch.stack([size[start:end].amax(0) for start, end, _ in runs])
        torch.maximum(self.row_absmax, highest.amax(0), out=self.row_absmax)
        slices = torch.tensor([where for _, _, where in runs], device=self.device)
        self.landscape[slices] = torch.maximum(self.landscape[slices], _pooled(highest))

    def end_row(self) -> tuple[Any, Any, Any]:
        """Add the finished row to the totals and return its results.

        The results are moments [kinds, 5], peaks [kinds] and absmax ([channels] or None).
        """
        import torch

        ended = self.row_moments, self.row_peaks, self.row_absmax
        self.moments += self.row_moments
        torch.maximum(self.peaks, self.row_peaks, out=self.peaks)
        self.row_moments, self.row_peaks = torch.zeros_like(self.moments), torch.zeros_like(self.peaks)
        if self.absmax is not None:
            torch.maximum(self.absmax, self.row_absmax, out=self.absmax)
            self.row_absmax = torch.zeros_like(self.absmax)
        return ended


def _pooled(highest: Any) -> Any:
    """Reduce an array [runs, channels] to [runs, columns]: each column gets the maximum of its channels."""
    import torch

    width = column_width(highest.shape[1])
    if width == 1:
        return highest
    padded = torch.nn.functional.pad(highest, (0, -highest.shape[1] % width))
    return padded.view(len(highest), -1, width).amax(-1)


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
)  # for each of these statistics, a higher value means more or larger spikes
Number = float | None


@dataclass(frozen=True)
class Moments:
    """Moments of a module's input values, computed over a group of tokens.

    `kurtosis` is Pearson's kurtosis. A normal distribution has the kurtosis 3.
    """

    values: int  # tokens x channels
    max: float  # largest |x|
    rms: Number
    crest: Number  # max / rms
    kurtosis: Number
    sigma: Number  # standard deviation

    @classmethod
    def of(cls, sums: Sequence[float], peak: float) -> Moments:
        """Compute the moments from `sums`: the count, and the sums of x, x^2, x^3 and x^4.

        A result is None if it is not finite, for example because its denominator is zero.
        """
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
    """Statistics of one module's input for one calibration set.

    The first token of each sample is an attention sink. `sink` describes these tokens, and all other fields exclude
    them. Shares and quantiles refer to |x|. `over_6_sigma` is the share of values whose |x| exceeds 6 standard
    deviations. `over_20_median` is the share of values whose |x| exceeds 20 times the median. The energy of a channel
    is its sum of squares. `top_channel_energy` is the energy of the top channels divided by the energy of all
    channels. The top channels are the 1% of channels with the highest energy, but at least one channel. A statistic
    is None if it is not finite, for example because its denominator is zero.
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
    """Compute the statistics from `moments` [kinds, 5], `peaks` [kinds], `energy` [channels] and `quantiles`.

    The tokens of the attention sink must not be counted in `quantiles`.
    """
    import numpy as np

    whole = Moments.of(moments[1:].sum(0), float(np.max(peaks[1:], initial=0.0)))
    has_values = len(quantiles) > 0
    median, p999 = (quantiles.at(0.5), quantiles.at(0.999)) if has_values else (None, None)
    of_sigma = SIGMAS * whole.sigma if has_values and whole.sigma is not None else None
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
