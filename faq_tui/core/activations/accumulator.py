"""Sums, maxima and the landscape of one place, as its tokens come by; never the activations themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faq_tui.core.activations.histogram import Histogram

SLICES, COLUMNS = 128, 256  # of a landscape, at most
CHUNK_VALUES = 1 << 18  # 1 MB of float32: what is computed from a chunk stays in the processor's cache
MOMENTS = 5  # count, and sums of x, x^2, x^3, x^4

Run = tuple[int, int, int]  # from token, to token, slice of the landscape


def column_width(channels: int) -> int:
    """Neighbouring channels that share one column of a landscape."""
    return -(-channels // COLUMNS)


class Accumulator:
    """`kinds` is the number of token kinds; kind 0 is the sink and stands apart from everything but its own sums."""

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
        """`x`: [tokens, channels] in any float dtype; `kinds`: [tokens], int64; `runs` cover all tokens in order."""
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
        if largest < float("inf"):  # False for NaN too
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
        """(moments [kinds, 5], peaks [kinds], absmax [channels] or None) of the row that ended, now in the totals."""
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
    """[runs, channels] to [runs, columns]."""
    import torch

    width = column_width(highest.shape[1])
    if width == 1:
        return highest
    padded = torch.nn.functional.pad(highest, (0, -highest.shape[1] % width))
    return padded.view(len(highest), -1, width).amax(-1)
