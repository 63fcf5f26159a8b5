"""Order statistics of |x| from a histogram over the bits of floating-point numbers.

The bits of a positive float, read as an integer, grow with it: so its exponent and leading mantissa bits number
logarithmic bins without a logarithm. Every value is counted in a *block*, 128 to the octave. Where the answers lie,
about the median and in the tail, blocks are split into *bins*: 17 of float32's 23 mantissa bits make them 2^-17
wide, so a bin's middle is off by at most 2^-18 = 3.8e-6, and a ratio of two quantiles by 7.6e-6. bfloat16 and
float16 keep all their bits: their bins hold one value each.

On a CPU, filling a table of all bins costs several times what sorting the values does. So once the first 32,768
values are there, only bins within reach of the running median and in the running tail are filled (`_wanted`). A
quantile that ends in a block whose bins were not filled all along, because the values changed that much on the way,
is interpolated within its block: off by at most 2^-7 = 0.8%, and mostly by a hundredth of that. On other devices all
bins are filled.

From a quarter of the first values' median upwards every octave has its bins, grown as larger values come; all
that lies below shares block 0 and bin 0. So the memory depends on the octaves between median and maximum, never on
how many values there were: 512 kB an octave of float32, of which untouched pages take none.
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
COARSE = 7  # mantissa bits that number the blocks
BELOW = 2  # octaves below the first median
FIRST_VALUES = 1 << 12  # looked at to find it
ALL_UNTIL = 1 << 15  # values: before so many are counted, nothing is known of what lies where
ROOM = 2  # octaves above the largest value so far: a table that is not written to takes no memory
AROUND = 1 << (COARSE - 1)  # blocks on both sides of the running median: half an octave
TAIL = 0.97  # beyond 6 standard deviations lie at most 1/36 of all values (Chebyshev), so the tail begins before
MEDIANS_UP = (4 << COARSE) + (
    1 << (COARSE - 2)
)  # blocks from the median to 19 medians, where it begins at the latest

ENDLESS = 1 << 30  # blocks
Interval = tuple[int, int]  # of blocks, the last not among them


class Histogram:
    """Counts |x| of float32 tensors whose values came from the torch dtype `dtype`, on their device."""

    def __init__(self, dtype: Any) -> None:
        self.bits = MANTISSA.get(str(dtype).removeprefix("torch."), MANTISSA["float32"])
        self.block = 1 << (self.bits - COARSE)  # bins in a block
        self.edge: int | None = None  # the number of the bin at which bin 0 ends
        self.counts: Any = None  # int32 [bins], on the device
        self.blocks: Counts | None = None  # of all values; None where all bins are filled
        self.filled: list[Interval] = []  # blocks whose bins hold all their values; empty: all of them
        self.used = 1  # bins up to the highest one with a value
        self.total = 0

    def add(self, magnitudes: Any, largest: float) -> None:
        """`magnitudes`: float32 of any shape, all finite and >= 0, and their maximum."""
        import torch

        if self.edge is None:
            self.edge = self._edge(magnitudes)
        shift = FULL - self.bits
        self.used = max(self.used, (_bits_of(largest) >> shift) - self.edge + 1 + self.block)
        self._grow(magnitudes.device)
        # Values below the edge go to the end of block 0, whose bins are one: all others keep their distance to it.
        least = self.block - 1
        bins = (magnitudes.view(torch.int32) >> shift).sub_(self.edge - self.block).clamp_(min=least).view(-1)
        if bins.device.type == "cpu":
            known = max(0, ALL_UNTIL - self.total)
            self._add_sorted(bins[:known], everywhere=True)
            self._add_sorted(bins[known:], everywhere=False)
        else:
            self._fill(bins)
        self.total += magnitudes.numel()

    def _add_sorted(self, bins: Any, everywhere: bool) -> None:
        """numpy sorts integers with vector instructions, in a fraction of what counting unsorted ones costs."""
        import numpy as np

        if not len(bins):
            return
        ordered = bins.numpy()
        ordered.sort()
        places = np.searchsorted(ordered, np.arange(0, len(self.counts) + 1, self.block, dtype=np.int32))
        here = np.diff(places)
        if self.blocks is not None:
            here[: len(self.blocks)] += self.blocks
        self.blocks = here
        if everywhere:
            self._fill(bins)
            return
        ranges = self._wanted(np.cumsum(here))
        for first, last in ranges:
            self._fill(bins[places[first] : places[min(last, len(here))]])
        self.filled = _common(self.filled, ranges) if self.filled else ranges

    def _wanted(self, ends: Counts) -> list[Interval]:
        """Blocks about the running median, and the tail. `ends`: how many values lie up to each block's end."""
        import numpy as np

        middle, tail = (int(np.searchsorted(ends, share * int(ends[-1]))) for share in (0.5, TAIL))
        low, high, start = max(0, middle - AROUND), middle + AROUND, min(tail, middle + MEDIANS_UP)
        return [(low, high), (start, ENDLESS)] if high < start else [(low, ENDLESS)]

    def _fill(self, bins: Any) -> None:
        import torch

        one = torch.ones((), dtype=torch.int32, device=bins.device)
        self.counts.index_add_(0, bins, one.expand(len(bins)))

    def _grow(self, device: Any) -> None:
        if self.counts is not None and self.used <= len(self.counts):
            return
        octave = 1 << self.bits
        grown = _zeros(-(-self.used // octave) * octave + ROOM * octave, device)
        if self.counts is not None:
            grown[: len(self.counts)] = self.counts
        self.counts = grown

    def _edge(self, magnitudes: Any) -> int:
        flat = magnitudes.view(-1)
        some = flat[:: max(1, len(flat) // FIRST_VALUES)]
        positive = some[some > 0]
        middle = float(positive.median()) if len(positive) else 1.0
        return max(self.block, ((_bits_of(middle) >> FULL) - BELOW) << self.bits)

    def freeze(self) -> Quantiles:
        """What was counted, on the CPU."""
        import torch

        if self.counts is None or self.edge is None:
            nothing = torch.zeros(self.block, dtype=torch.int32)
            return Quantiles(nothing, nothing.new_zeros(1).numpy(), [], self.block, self.bits)
        end = -(-self.used // self.block)
        counts = self.counts[: end * self.block].cpu()
        wide = torch.int32 if self.total < 1 << 31 else torch.int64  # int32 is ten times as fast
        blocks = self.blocks
        if blocks is None:
            blocks = counts.view(-1, self.block).sum(-1, dtype=wide).numpy()
        return Quantiles(counts, blocks[:end], self.filled, self.edge, self.bits)


class Quantiles:
    """Questions about the values that were counted."""

    def __init__(self, counts: Any, blocks: Counts, filled: list[Interval], edge: int, bits: int) -> None:
        """`counts`: int32 [bins], a torch tensor; `blocks`: [blocks]. Block 1 begins with the bin number `edge`."""
        self._edge, self._bits, self._block = edge, bits, 1 << (bits - COARSE)
        self._counts: Counts = counts.numpy()
        self._blocks, self._filled = blocks, filled

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
        return self._start(self._block)

    def at(self, share: float) -> float:
        """The quantile by linear interpolation between neighbours in order (numpy's default); 0 below `floor`."""
        position = (len(self) - 1) * share
        below = int(position)
        low = self._value(below)
        high = self._value(below + 1) if position > below else low
        return low + (high - low) * (position - below)

    def above(self, threshold: float) -> int:
        """How many values are larger than `threshold`, which is positive."""
        first = max(self._block, (_bits_of(threshold) >> (FULL - self._bits)) - self._edge + self._block)
        if first < len(self._counts) and self._middle(first) <= threshold:
            first += 1
        block, rest = divmod(first, self._block)
        if block >= len(self._blocks):
            return 0
        beyond = len(self) - int(self._ends[block])
        if self._is_filled(block):
            return beyond + int(self._bins(block)[rest:].sum(dtype="int64"))
        return beyond + round(int(self._blocks[block]) * (1 - rest / self._block))

    def _value(self, index: int) -> float:
        """What the value that has `index` others before it in order is taken for."""
        import numpy as np

        block = int(np.searchsorted(self._ends, index, side="right"))
        if block == 0:
            return 0.0
        before, first = int(self._ends[block] - self._blocks[block]), block * self._block
        if self._is_filled(block):
            ends = before + np.cumsum(self._bins(block), dtype=np.int64)
            return self._middle(first + int(np.searchsorted(ends, index, side="right")))
        start, end = self._start(first), self._start(first + self._block)
        return start + (end - start) * (index - before + 0.5) / int(self._blocks[block])

    def _bins(self, block: int) -> Counts:
        return self._counts[block * self._block : (block + 1) * self._block]

    def _is_filled(self, block: int) -> bool:
        return not self._filled or any(first <= block < last for first, last in self._filled)

    def _start(self, number: int) -> float:
        return _float_of((self._edge + number - self._block) << (FULL - self._bits))

    def _middle(self, number: int) -> float:
        """What the values of a bin are taken for: its middle, or the one value that it can hold."""
        low = self._start(number)
        if self._bits < MANTISSA["float32"]:
            return low
        return low + 0.5 * (self._start(number + 1) - low)


def _common(ours: list[Interval], others: list[Interval]) -> list[Interval]:
    """The blocks that lie in both; one empty interval if there are none."""
    overlaps = [(max(a, c), min(b, d)) for a, b in ours for c, d in others]
    return [(a, b) for a, b in overlaps if a < b] or [(0, 0)]


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
