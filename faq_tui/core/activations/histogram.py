"""Order statistics of |x| from a histogram over the bits of floating-point numbers.

The bits of a positive float, read as an integer, grow with it: so its exponent and leading mantissa bits number
logarithmic bins without a logarithm. 17 of float32's 23 mantissa bits make bins of relative width 2^-17; a bin's
middle is off by at most 2^-18 = 3.8e-6, and a ratio of two quantiles by 7.6e-6. bfloat16 and float16 keep all
their bits: their bins hold one value each.

From a quarter of the first values' median upwards every octave has its bins, grown as larger values come; all
that lies below shares bin 0. So the memory depends on the octaves between median and maximum, never on how many
values there were: 512 kB an octave of float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Counts = NDArray[np.int64]

MANTISSA = {"float32": 17, "bfloat16": 7, "float16": 10}
FULL = 23  # mantissa bits of float32, in which everything is counted
BELOW = 2  # octaves below the first median
FIRST_VALUES = 1 << 16  # looked at to find it


class Histogram:
    """Counts |x| of float32 tensors whose values came from the torch dtype `dtype`, on their device."""

    def __init__(self, dtype: Any) -> None:
        self.bits = MANTISSA.get(str(dtype).removeprefix("torch."), MANTISSA["float32"])
        self.exact = self.bits < MANTISSA["float32"]
        self.edge: int | None = None  # the bin number at which bin 0 ends
        self.counts: Any = None  # int32, on the device

    def add(self, magnitudes: Any, largest: float) -> None:
        """`magnitudes`: float32 of any shape, all finite and >= 0, and their maximum."""
        import torch

        if self.edge is None:
            self.edge = self._edge(magnitudes)
        shift = FULL - self.bits
        size = (_bits_of(largest) >> shift) - self.edge + 2
        if self.counts is None or size > len(self.counts):
            octave = 1 << self.bits
            grown = torch.zeros(-(-max(size, 1) // octave) * octave, dtype=torch.int32, device=magnitudes.device)
            if self.counts is not None:
                grown[: len(self.counts)] = self.counts
            self.counts = grown
        bins = (magnitudes.view(torch.int32) >> shift).sub_(self.edge - 1).clamp_(min=0).view(-1)
        one = torch.ones((), dtype=torch.int32, device=bins.device)
        self.counts.index_add_(0, bins, one.expand(len(bins)))

    def _edge(self, magnitudes: Any) -> int:
        flat = magnitudes.view(-1)
        some = flat[:: max(1, len(flat) // FIRST_VALUES)]
        positive = some[some > 0]
        middle = float(positive.median()) if len(positive) else 1.0
        return max(1, ((_bits_of(middle) >> FULL) - BELOW) << self.bits)

    def freeze(self) -> Quantiles:
        """What was counted, as numpy arrays without empty bins."""
        import numpy as np

        if self.counts is None or self.edge is None:
            return Quantiles(np.zeros(0), np.zeros(0, dtype=np.int64), 0.0)
        counts = self.counts.cpu().numpy().astype(np.int64)
        filled = np.flatnonzero(counts)
        shift = FULL - self.bits
        low = (filled + (self.edge - 1)).astype(np.uint32) << np.uint32(shift)
        values = low.view(np.float32).astype(np.float64)
        if not self.exact:
            values += 0.5 * ((low + np.uint32(1 << shift)).view(np.float32).astype(np.float64) - values)
        floor = float((np.array([self.edge << shift], dtype=np.uint32)).view(np.float32)[0])
        values[filled == 0] = 0.0
        return Quantiles(values, counts[filled], floor)


@dataclass(frozen=True)
class Quantiles:
    """Values in order, how often each was there, and the `floor` under which values are only known to be."""

    values: Array
    counts: Counts
    floor: float

    def __len__(self) -> int:
        return int(self.counts.sum())

    def at(self, share: float) -> float:
        """The quantile by linear interpolation between neighbours in order (numpy's default); 0 below `floor`."""
        import numpy as np

        ends = np.cumsum(self.counts)
        place = (int(ends[-1]) - 1) * share
        low, high = (
            float(self.values[np.searchsorted(ends, index, side="right")])
            for index in (int(np.floor(place)), int(np.ceil(place)))
        )
        return float(low + (high - low) * (place - np.floor(place)))

    def above(self, threshold: float) -> int:
        """How many values are larger."""
        return int(self.counts[self.values > threshold].sum())


def _bits_of(value: float) -> int:
    import numpy as np

    return int(np.float32(value).view(np.uint32))
