"""Compute quantiles of |x| from a histogram over the bits of floating-point numbers.

If the bits of positive floats are read as integers, a larger float gives a larger integer. Therefore the exponent
and the leading mantissa bits of a float can serve as the number of a logarithmic bin. Every value is counted in a
*block*. An octave (a factor of two) has 128 blocks. Quantiles are needed near the median and in the tail. In these
two regions, each block is split into *bins*. A bin uses 17 of float32's 23 mantissa bits, so its relative width is
2^-17. A value is represented by the middle of its bin, with a relative error of at most 2^-18 = 3.8e-6. The ratio of
two quantiles has a relative error of at most 7.6e-6. The formats bfloat16 and float16 have so few bits that each bin
holds a single value.

On a CPU, filling all bins takes several times as long as sorting the values. Therefore, after the first 32,768
values, bins are filled only near the median and in the tail of the values so far (`_wanted`). A quantile may later
fall into a block whose bins have not counted every value. Then the quantile is interpolated between the block's
ends. The error of the interpolation is at most 2^-7 = 0.8%, and usually 0.008%. On a GPU, all bins are always
filled.

The table of bins begins at an edge, which is about a quarter of the median of the first values. All values below the
edge share block 0 and bin 0. If a value is too large for the table of bins, the table gets more octaves. Therefore
the memory depends on the number of octaves between the median and the maximum, and not on the number of values. An
octave of float32 takes 512 kB. A memory page of the table takes no memory until a value is counted in this page.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]

MANTISSA = {"float32": 17, "bfloat16": 7, "float16": 10}
FULL = 23  # number of mantissa bits of float32; all values are counted as float32
COARSE = 7  # the first 7 mantissa bits of a value choose its block within an octave
BELOW = 2  # the edge lies two octaves (a factor of four) below the octave of the median of the first values
FIRST_VALUES = 1 << 12  # the median of the first values is computed from about this number of values
ALL_UNTIL = 1 << 15  # all bins are filled until this number of values has been counted
ROOM = 2  # number of spare octaves (factors of two) above the largest value; empty octaves take no memory
AROUND = 1 << (COARSE - 1)  # bins are filled for half an octave below and above the median
TAIL = (
    0.97  # the tail begins at this quantile, because at most 1/36 of values exceed 6 sigma (Chebyshev's inequality)
)
MEDIANS_UP = (4 << COARSE) + (
    1 << (COARSE - 2)
)  # number of blocks from the median to 19 times the median; the tail begins at or below that value

ENDLESS = 1 << 30  # the end of an interval of blocks that has no upper limit
Interval = tuple[int, int]  # an interval of blocks: (first block, block after the last one)


class Histogram:
    """Counts the values |x| of float32 tensors on their device.

    `dtype` is the torch dtype of the values before they were converted to float32.
    """

    def __init__(self, dtype: Any) -> None:
        self.bits = MANTISSA.get(str(dtype).removeprefix("torch."), MANTISSA["float32"])
        self.block = 1 << (self.bits - COARSE)  # number of bins in a block
        self.edge: int | None = None  # the leading bits of the edge; all values below the edge share bin 0
        self.counts: Any = None  # int32 [bins], on the device
        self.blocks: Counts | None = None  # number of values in each block; None if all bins are filled

        # In these blocks, the bins have counted every value. An empty list stands for all blocks.
        self.filled: list[Interval] = []
        self.used = 1  # number of bins from the first bin to the highest bin that holds a value
        self.total = 0

    def add(self, magnitudes: Any, largest: float) -> None:
        """Count `magnitudes`, a float32 tensor of any shape with finite values >= 0. `largest` is its maximum."""
        import torch

        if self.edge is None:
            self.edge = self._edge(magnitudes)
        shift = FULL - self.bits
        self.used = max(self.used, (_bits_of(largest) >> shift) - self.edge + 1 + self.block)
        self._grow(magnitudes.device)
        # Block 0 uses only its last bin, which counts all values below the edge.
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
        """Sort `bins`, then count them. Sorting first is faster, because numpy sorts with SIMD."""
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
        """The blocks near the median and in the tail of the values that were counted so far.

        `ends` has one number for each block: the number of values in this block and in all blocks below it.
        """
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
        """Return the final counts as a `Quantiles` object on the CPU."""
        import torch

        if self.counts is None or self.edge is None:
            nothing = torch.zeros(self.block, dtype=torch.int32)
            return Quantiles(nothing, nothing.new_zeros(1).numpy(), [], self.block, self.bits)
        end = -(-self.used // self.block)
        counts = self.counts[: end * self.block].cpu()
        # Summing int32 is ten times as fast as summing int64.
        wide = torch.int32 if self.total < 1 << 31 else torch.int64
        blocks = self.blocks
        if blocks is None:
            blocks = counts.view(-1, self.block).sum(-1, dtype=wide).numpy()
        return Quantiles(counts, blocks[:end], self.filled, self.edge, self.bits)


class Quantiles:
    """Computes quantiles of the counted values, and counts the values above a threshold."""

    def __init__(self, counts: Any, blocks: Counts, filled: list[Interval], edge: int, bits: int) -> None:
        """`counts` is a torch tensor, int32 [bins].

        `blocks` holds the number of values in each block. Block 1 begins at bin `edge`.
        """
        self._edge, self._bits, self._block = edge, bits, 1 << (bits - COARSE)
        self._counts: Counts = counts.numpy()
        self._blocks, self._filled = blocks, filled

    @cached_property
    def _ends(self) -> Counts:
        """The number of values in each block and in all blocks below that block."""
        import numpy as np

        return np.cumsum(self._blocks, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def floor(self) -> float:
        """The edge of the table.

        All values below the edge share one bin, so the histogram knows how many they are, but not how large.
        """
        return self._start(self._block)

    def at(self, share: float) -> float:
        """The quantile, interpolated linearly between neighbouring values (numpy's default).

        Values below `floor` count as 0.
        """
        position = (len(self) - 1) * share
        below = int(position)
        low = self._value(below)
        high = self._value(below + 1) if position > below else low
        return low + (high - low) * (position - below)

    def above(self, threshold: float) -> int:
        """Number of values above `threshold`. `threshold` must be positive."""
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
        """Estimate the value at position `index` of the sorted values."""
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
        """The value that stands for a bin: the middle of the bin, or the only value that the bin can hold."""
        low = self._start(number)
        if self._bits < MANTISSA["float32"]:
            return low
        return low + 0.5 * (self._start(number + 1) - low)


def _common(ours: list[Interval], others: list[Interval]) -> list[Interval]:
    """The blocks that both lists contain, as a list of intervals.

    If no block is in both lists, the result is one empty interval.
    """
    overlaps = [(max(a, c), min(b, d)) for a, b in ours for c, d in others]
    return [(a, b) for a, b in overlaps if a < b] or [(0, 0)]


def _zeros(length: int, device: Any) -> Any:
    """An int32 tensor of `length` zeros.

    On the CPU, the zeros come from numpy. numpy reserves large pages, and a page takes no memory until it is written.
    """
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
