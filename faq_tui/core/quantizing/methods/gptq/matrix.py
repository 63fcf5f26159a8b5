"""Quantize weight matrices by GPTQ: one scale and one zero point for each group of columns and each output row.

GPTQ: Frantar et al. 2022, arXiv:2210.17323. If the `Factor` has a `drift`, the same code computes GPTAQ (Li et
al. 2025, arXiv:2504.02692).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.quantizing.methods.gptq.scale_kernel import search_scale
from faq_tui.core.quantizing.sequential import column_kernel
from faq_tui.core.quantizing.sequential.column_kernel import RunGrid
from faq_tui.core.quantizing.sequential.hessian import Factor
from faq_tui.core.quantizing.sequential.solver import arranged, restored, walk

TINY = 6e-8  # the smallest positive float16

# The search for a scale tries STEPS ranges of a group. The first range is the whole range. The last range is slightly
# larger than LEAST_RANGE times the whole range. For each range, the search computes the sum of |error|^NORM over all
# weights, as Frantar's reference code does (quant.py).
STEPS, LEAST_RANGE, NORM = 80, 0.2, 2.4
# On CUDA, the search tries all ranges. On a CPU, the search first tries every COARSE-th range, from large to small,
# and stops after PATIENCE consecutive ranges that improve no output. Then the search tries the ranges next to the
# best one.
COARSE, PATIENCE = 4, 3
SHARES = [1 - step / STEPS * (1 - LEAST_RANGE) for step in range(STEPS)]


@dataclass(frozen=True)
class GridChoice:
    """The settings that choose the grid of a group of weights.

    `symmetric` fixes the zero point in the middle of the codes. With `search`, the scale with the least rounding
    error is used. Without `search`, the scale is so large that the grid covers the largest weight. With `scattered`,
    a group consists of `group_size` columns that are consecutive in solving order, but may be far apart in the
    matrix. Without `scattered`, a group consists of neighbouring columns, and the solving order must keep them
    together.
    """

    bits: int
    group_size: int
    symmetric: bool = True
    search: bool = False
    scattered: bool = False

    @property
    def most(self) -> int:
        """The largest code."""
        return int(2**self.bits - 1)


@dataclass(frozen=True)
class Packable:
    """A quantized matrix.

    The dequantized weight is ŵ = scale · (code - zero), with the `scale` and the `zero` of the column's group.

    In the shapes, `...` stands for one batch dimension or for no dimension.
    """

    codes: Any  # [..., out, in] uint8
    scales: Any  # [..., groups, out] float16
    zeros: Any  # [..., groups, out] uint8
    groups: Any  # [..., in] int64, the group of each column
    loss: Any  # the loss of each matrix, [...]

    def one(self, index: int) -> Packable:
        """One matrix of the batch."""
        parts = (self.codes, self.scales, self.zeros, self.groups, self.loss)
        return Packable(*(part[index] for part in parts))

    def dense(self) -> Any:
        """The dequantized matrix [out, in] in float32. The quantized matrix must have no batch dimension."""
        scales, zeros = self.scales.float()[self.groups], self.zeros.float()[self.groups]
        return ((self.codes.t().float() - zeros) * scales).t().contiguous()


class _GroupRule:
    def __init__(self, grid: GridChoice, columns: Any) -> None:
        self.grid = grid
        self.codes = columns.new_empty(columns.shape)
        self.scales: list[Any] = []
        self.zeros: list[Any] = []
        self.rows: Sequence[Any] = ()

    def begin_group(self, first: int, weights: Any, diagonal: Any) -> None:
        del first, diagonal
        scale, zero = fit(weights, self.grid)
        self.scales.append(scale)
        self.zeros.append(zero)

    def begin_block(self, start: int, stop: int, diagonal: Any) -> None:
        del diagonal
        self.rows = self.codes[..., start:stop, :].unbind(-2)

    def column(self, offset: int, weights: Any, values: Any, error: Any) -> None:
        import torch

        codes, scale, zero = self.rows[offset], self.scales[-1], self.zeros[-1]
        torch.div(weights, scale, out=codes).round_().add_(zero).clamp_(0, self.grid.most)
        torch.sub(codes, zero, out=values).mul_(scale)
        torch.sub(weights, values, out=error)

    def run_grid(self, first: int, last: int) -> RunGrid:
        del first, last
        return RunGrid(self.scales[-1], self.zeros[-1], 0, self.grid.most)


def fit(weights: Any, grid: GridChoice) -> tuple[Any, Any]:
    """The scale and the zero point [..., out] of a group of `weights` [..., group, out], in float32.

    The scale is rounded to float16, because it is stored in float16. The zero point is a whole number. The range of
    the codes covers 0 and every weight of the group. For a symmetric grid, the range is [-m, m] with m = max |w|. For
    an asymmetric grid, the range is [min, max].
    """
    import torch

    low, high = weights.aminmax(dim=-2)
    low, high = low.clamp(max=0), high.clamp(min=0)
    if grid.symmetric:
        high = torch.maximum(-low, high)
        low = -high
    if grid.search and column_kernel.usable(weights):
        return search_scale(weights, low, high, SHARES, grid.most, grid.symmetric, TINY, NORM)
    scale, zero = _grid(low, high, grid)
    if not grid.search:
        return scale, zero
    shares = torch.tensor(SHARES, dtype=low.dtype, device=low.device)
    best, at = _rounding_error(weights, scale, zero, grid.most), torch.zeros_like(low, dtype=torch.int64)
    worse = 0  # number of consecutive ranges that improved no output
    for step in range(COARSE, STEPS, COARSE):
        worse += 1
        other = torch.full_like(at, step)
        better, error = _tried(weights, low, high, shares[other], grid, best)
        if better.any():
            worse, best, at = 0, torch.where(better, error, best), torch.where(better, other, at)
        if worse == PATIENCE:
            break
    middle = at
    for step in (*range(1 - COARSE, 0), *range(1, COARSE)):
        other = (middle + step).clamp_(0, STEPS - 1)
        better, error = _tried(weights, low, high, shares[other], grid, best)
        best, at = torch.where(better, error, best), torch.where(better, other, at)
    return _grid(low * shares[at], high * shares[at], grid)


def _tried(weights: Any, low: Any, high: Any, share: Any, grid: GridChoice, best: Any) -> tuple[Any, Any]:
    """Try the range from low · share to high · share, [..., out].

    Returns (mask of the outputs whose error is below `best`, error of each output).
    """
    error = _rounding_error(weights, *_grid(low * share, high * share, grid), grid.most)
    return error < best, error


def _grid(low: Any, high: Any, grid: GridChoice) -> tuple[Any, Any]:
    import torch

    scale = ((high - low) / grid.most).clamp_(min=TINY).half().float().clamp_(min=TINY)
    if grid.symmetric:
        return scale, torch.full_like(scale, (grid.most + 1) // 2)
    return scale, (-low / scale).round_().clamp_(0, grid.most)


def _rounding_error(weights: Any, scale: Any, zero: Any, most: int) -> Any:
    scale, zero = scale[..., None, :], zero[..., None, :]
    codes = (weights / scale).round_().add_(zero).clamp_(0, most)
    return codes.sub_(zero).mul_(scale).sub_(weights).abs_().pow_(NORM).sum(-2)


def quantize_stack(
    weights: Sequence[Any], factor: Factor, grid: GridChoice, check: Callable[[], None]
) -> list[Packable]:
    """Quantize matrices [..., out, in] that share their Hessians.

    Any floating dtype is allowed. The matrices may have different sizes [out].

    If `grid.scattered` is false, the solving order must keep the columns of a group together.
    """
    import torch

    columns = arranged(weights, factor)
    rule = _GroupRule(grid, columns)
    loss = walk(columns, factor.upper, grid.group_size, rule, check, factor.drift)
    count = columns.shape[-2]
    size = count if grid.group_size == -1 else grid.group_size
    scales, zeros = torch.stack(rule.scales, -2), torch.stack(rule.zeros, -2)
    groups = (torch.arange(count, device=columns.device) // size).expand(factor.order.shape)
    if grid.scattered:
        groups = torch.empty_like(factor.order).scatter_(-1, factor.order, groups)
    else:
        own = (factor.order // size)[..., ::size].argsort(-1)  # position of each group in solving order
        scales, zeros = (part.gather(-2, own[..., None].expand_as(part)) for part in (scales, zeros))
    codes = restored(rule.codes.to(torch.uint8), factor.order)
    sizes = [weight.shape[-2] for weight in weights]
    return [
        Packable(code.mT.contiguous(), scale.half(), zero.to(torch.uint8), groups, lost.sum(-1))
        for code, scale, zero, lost in zip(
            *(part.split(sizes, -1) for part in (codes, scales, zeros, loss)), strict=True
        )
    ]


def quantize_matrix(weight: Any, factor: Factor, grid: GridChoice, check: Callable[[], None]) -> Packable:
    """Quantize a single matrix [out, in]."""
    (made,) = quantize_stack([weight], factor, grid, check)
    return made
