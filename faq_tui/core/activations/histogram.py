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

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]

MANTISSA = {"float32": 17, "bfloat16": 7, "float16": 10}
FULL = 23  # mantissa bits of float32, in which everything is counted
BELOW = 2  # octaves below the first median
FIRST_VALUES = 1 << 12  # looked at to find it
ROOM = 2  # octaves above the largest value so far: a table that is not written to takes no memory
BLOCK = 1 << 7  # bins that are added up together; no octave has fewer


class Histogram:
    """Counts |x| of float32 tensors whose values came from the torch dtype `dtype`, on their device."""

    def __init__(self, dtype: Any) -> None:
        self.bits = MANTISSA.get(str(dtype).removeprefix("torch."), MANTISSA["float32"])
        self.edge: int | None = None  # the bin number at which bin 0 ends
        self.counts: Any = None  # int32, on the device
        self.used = 1  # bins up to the highest one with a value
        self.total = 0

    def add(self, magnitudes: Any, largest: float) -> None:
        """`magnitudes`: float32 of any shape, all finite and >= 0, and their maximum."""
        import torch

        if self.edge is None:
            self.edge = self._edge(magnitudes)
        shift = FULL - self.bits
        self.total += magnitudes.numel()
        self.used = max(self.used, (_bits_of(largest) >> shift) - self.edge + 2)
        if self.counts is None or self.used > len(self.counts):
            octave = 1 << self.bits
            grown = _zeros(-(-self.used // octave) * octave + ROOM * octave, magnitudes.device)
            if self.counts is not None:
                grown[: len(self.counts)] = self.counts
            self.counts = grown
        bins = (magnitudes.view(torch.int32) >> shift).sub_(self.edge - 1).clamp_(min=0).view(-1)
        if bins.device.type == "cpu":
            # The table is larger than the cache: in order it is walked once, not jumped about in. numpy sorts
            # integers with the processor's vector instructions, in a fraction of what the jumps cost.
            bins.numpy().sort()
        one = torch.ones((), dtype=torch.int32, device=bins.device)
        self.counts.index_add_(0, bins, one.expand(len(bins)))

    def _edge(self, magnitudes: Any) -> int:
        flat = magnitudes.view(-1)
        some = flat[:: max(1, len(flat) // FIRST_VALUES)]
        positive = some[some > 0]
        middle = float(positive.median()) if len(positive) else 1.0
        return max(1, ((_bits_of(middle) >> FULL) - BELOW) << self.bits)

    def freeze(self) -> Quantiles:
        """What was counted, on the CPU."""
        import torch

        if self.counts is None or self.edge is None:
            return Quantiles(torch.zeros(BLOCK, dtype=torch.int32), 0, 1, self.bits)
        return Quantiles(self.counts[: -(-self.used // BLOCK) * BLOCK].cpu(), self.total, self.edge, self.bits)


class Quantiles:
    """Questions about the values that were counted."""

    def __init__(self, counts: Any, total: int, edge: int, bits: int) -> None:
        """`counts`: int32 [bins], a torch tensor that adds up to `total`; its bin 1 has the number `edge`."""
        import torch

        self._edge, self._bits = edge, bits
        self._counts: Counts = counts.numpy()
        wide = torch.int32 if total < 1 << 31 else torch.int64  # int32 is ten times as fast
        self._blocks: Counts = counts.view(-1, BLOCK).sum(-1, dtype=wide).numpy()

    @cached_property
    def _ends(self) -> Counts:
        """How many values lie in each block and below."""
        import numpy as np

        return np.cumsum(self._blocks, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def floor(self) -> float:
        """Values below this are only known to be there."""
        return _float_of(self._edge << (FULL - self._bits))

    def at(self, share: float) -> float:
        """The quantile by linear interpolation between neighbours in order (numpy's default); 0 below `floor`."""
        place = (len(self) - 1) * share
        below = int(place)
        low = self._value(self._bin(below))
        high = self._value(self._bin(below + 1)) if place > below else low
        return low + (high - low) * (place - below)

    def above(self, threshold: float) -> int:
        """How many values are larger than `threshold`, which is positive."""
        first = max(1, (_bits_of(threshold) >> (FULL - self._bits)) - self._edge + 1)
        if first < len(self._counts) and self._value(first) <= threshold:
            first += 1
        block, rest = divmod(first, BLOCK)
        if block >= len(self._blocks):
            return 0
        within = self._counts[block * BLOCK + rest : (block + 1) * BLOCK]
        return len(self) - int(self._ends[block]) + int(within.sum(dtype="int64"))

    def _bin(self, index: int) -> int:
        """Of the value that has `index` others before it in order."""
        import numpy as np

        block = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[block] - self._blocks[block])
        ends = before + np.cumsum(self._counts[block * BLOCK : (block + 1) * BLOCK], dtype=np.int64)
        return block * BLOCK + int(np.searchsorted(ends, index, side="right"))

    def _value(self, number: int) -> float:
        """What the values of a bin are taken for: its middle, or the one value that it can hold."""
        if number == 0:
            return 0.0
        shift = FULL - self._bits
        start = (self._edge + number - 1) << shift
        low = _float_of(start)
        if self._bits < MANTISSA["float32"]:
            return low
        return low + 0.5 * (_float_of(start + (1 << shift)) - low)


def _zeros(length: int, device: Any) -> Any:
    """int32. On the CPU by numpy, whose large arrays are not written to at first, and ask for large pages."""
    import numpy as np
    import torch

    if device.type == "cpu":
        return torch.from_numpy(np.zeros(length, dtype=np.int32))
    return torch.zeros(length, dtype=torch.int32, device=device)


def _bits_of(value: float) -> int:
    import numpy as np

    with np.errstate(over="ignore"):
        return int(np.float32(value).view(np.uint32))


def _float_of(bits: int) -> float:
    import numpy as np

    return float(np.uint32(bits).view(np.float32))
