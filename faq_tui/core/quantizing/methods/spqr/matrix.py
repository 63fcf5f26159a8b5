"""Quantize weight matrices by SpQR: columns are solved in order, and weights with a large error become outliers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.quantizing.methods.spqr.grid import (
    TINY,
    Grid,
    Level,
    fit_group,
    likely_outliers,
    second_level,
    stored,
    without,
)
from faq_tui.core.quantizing.sequential.column_kernel import RunGrid
from faq_tui.core.quantizing.sequential.hessian import Factor
from faq_tui.core.quantizing.sequential.solver import arranged, restored, walk


@dataclass(frozen=True)
class Knobs:
    bits: int
    group_size: int  # number of columns per group; -1 means that a whole row is one group
    outlier_threshold: float = 0.2  # the threshold τ; a smaller value makes more outliers, and infinity makes none
    scale_bits: int | None = 3  # bits of each scale and zero point; None if they stay float16
    scale_group: int = 16  # number of output rows that share one second-level scale


# The scales and zeros of a group of columns. Scales and zeros are quantized at the second level, or they are float16
# [..., out].
Pair = tuple[Any, Any]


@dataclass
class Quantized:
    """Quantized matrices in solving order: column `order[p]` is at position p.

    `...` stands for a batch dimension or for no dimension.
    """

    weight: Any  # [..., out, in] float32, in the original column order
    codes: Any  # [..., in, out] uint8
    outliers: Any  # [..., in, out] bool
    levels: list[Pair]  # scales and zeros of each group of columns
    loss: Any  # [...], the loss of each matrix; a float if there is only one matrix

    def one(self, index: int) -> Quantized:
        """The quantized matrix at `index` of the batch."""
        levels = [(_at(scale, index), _at(zero, index)) for scale, zero in self.levels]
        return Quantized(self.weight[index], self.codes[index], self.outliers[index], levels, self.loss[index])


class _SpqrRule:
    """Rounds columns and marks outliers.

    `threshold` [..., out] is the threshold T of each row. If `threshold` is None, there are no outliers.
    """

    def __init__(self, knobs: Knobs, threshold: Any | None, columns: Any) -> None:
        import torch

        self.knobs = knobs
        self.threshold = threshold
        everything = columns.new_full((*columns.shape[:-2], columns.shape[-1]), math.inf)
        self.roots = everything if threshold is None else threshold.sqrt()  # [..., out]
        self.codes = columns.new_empty(columns.shape)
        self.outliers = torch.zeros(columns.shape, dtype=torch.bool, device=columns.device)
        self.levels: list[Pair] = []
        self.grid: Grid

    def begin_group(self, first: int, weights: Any, diagonal: Any) -> None:
        del first
        knobs = self.knobs
        if self.threshold is not None:
            weights = without(weights, likely_outliers(weights, diagonal, knobs.bits, self.threshold))
        grid = fit_group(weights, knobs.bits)
        if knobs.scale_bits is None:
            self.grid = stored(grid)
            self.levels.append((self.grid.scale.half(), self.grid.zero.half()))
            return
        scale, zero = (second_level(x, knobs.scale_bits, knobs.scale_group) for x in (grid.scale, grid.zero))
        self.levels.append((scale, zero))
        self.grid = decoded(scale, zero, knobs.bits, weights.shape[-1])

    def begin_block(self, start: int, stop: int, diagonal: Any) -> None:
        self.start, self.diagonal = start, diagonal
        self.rows = self.codes[..., start:stop, :].unbind(-2)
        if self.threshold is not None:
            # The condition err² > T is equivalent to |w - ŵ| > sqrt(T) U_cc.
            self.limits = (self.roots[..., None, :] * diagonal[..., None]).unbind(-2)
            self.block_outliers = self.outliers[..., start:stop, :].unbind(-2)

    def column(self, offset: int, weights: Any, values: Any, error: Any) -> None:
        import torch

        codes = self.grid.codes(weights, self.rows[offset])
        self.grid.values(codes, values)
        torch.sub(weights, values, out=error)
        if self.threshold is not None:
            outlier = torch.gt(error.abs_(), self.limits[offset], out=self.block_outliers[offset])
            torch.where(outlier, weights, values, out=values)
            torch.sub(weights, values, out=error)

    def run_grid(self, first: int, last: int) -> RunGrid:
        most = 2**self.knobs.bits - 1
        outliers = self.outliers[..., self.start + first : self.start + last, :]
        # If there are no outliers, the limit is infinite.
        return RunGrid(
            self.grid.scale.contiguous(),
            self.grid.zero.contiguous(),
            0,
            most,
            self.roots,
            self.diagonal[..., first:last].contiguous(),
            outliers,
        )


def decoded(scale: Any, zero: Any, bits: int, rows: int) -> Grid:
    """The grid of a group, computed from the group's stored scale and zero point."""
    if isinstance(scale, Level):
        return Grid(scale.decode(rows).clamp(min=TINY), zero.decode(rows), bits)
    return Grid(scale.float().clamp(min=TINY), zero.float(), bits)


def quantize_stack(
    weights: Sequence[Any], factor: Factor, knobs: Knobs, check: Callable[[], None]
) -> list[Quantized]:
    """Quantize matrices [..., out, in] that share their Hessians.

    Any floating dtype is allowed. The matrices may have different sizes [out].

    The outlier threshold of each matrix is T = τ · mean_c(var_rows(W_c) / U_cc²) (SpQR, algorithm 1). Rows of
    two matrices never share a second-level scale.
    """
    import torch

    run = knobs.scale_group if knobs.scale_bits is not None else 1
    sizes = [weight.shape[-2] for weight in weights]
    filled = [size + -size % run for size in sizes]
    columns = arranged(weights, factor, run)
    limits = None
    if math.isfinite(knobs.outlier_threshold):
        parts = columns.split(filled, -1)
        own = [part[..., :size] for part, size in zip(parts, sizes, strict=True)]
        limits = torch.cat(
            [
                threshold(part, factor.upper, knobs)[..., None].expand(*part.shape[:-2], size)
                for part, size in zip(own, filled, strict=True)
            ],
            -1,
        )
    rule = _SpqrRule(knobs, limits, columns)
    loss = walk(columns, factor.upper, knobs.group_size, rule, check)
    result, codes = restored(columns, factor.order), rule.codes.to(torch.uint8)
    quantized, start = [], 0
    for size, width in zip(sizes, filled, strict=True):
        rows, runs = slice(start, start + size), slice(start // run, (start + width) // run)
        levels = [(_cut(scale, rows, runs), _cut(zero, rows, runs)) for scale, zero in rule.levels]
        quantized.append(
            Quantized(
                result[..., rows].mT.contiguous(),
                codes[..., rows],
                rule.outliers[..., rows],
                levels,
                loss[..., rows].sum(-1),
            )
        )
        start += width
    return quantized


def threshold(columns: Any, upper: Any, knobs: Knobs) -> Any:
    """The outlier threshold T [...] of `columns` [..., in, out]."""
    diagonal = upper.diagonal(dim1=-2, dim2=-1)
    spread = columns.var(dim=-1) if columns.shape[-1] > 1 else columns.square().mean(-1)
    return knobs.outlier_threshold * (spread / diagonal.square()).mean(-1)


def quantize_matrix(weight: Any, factor: Factor, knobs: Knobs, check: Callable[[], None]) -> Quantized:
    """Quantize a single matrix `weight`: [out, in]."""
    (made,) = quantize_stack([weight], factor, knobs, check)
    made.loss = float(made.loss)
    return made


def _cut(level: Any, rows: slice, runs: slice) -> Any:
    if isinstance(level, Level):
        return Level(level.codes[..., runs, :], level.step[..., runs], level.least[..., runs])
    return level[..., rows]


def _at(level: Any, index: int) -> Any:
    if isinstance(level, Level):
        return Level(level.codes[index], level.step[index], level.least[index])
    return level[index]
