"""One weight matrix by SpQR."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faq_tui.core.quantizing.hessian import Factor
from faq_tui.core.quantizing.solver import walk
from faq_tui.core.quantizing.spqr.grid import (
    TINY,
    Grid,
    Level,
    fit_group,
    likely_outliers,
    second_level,
    stored,
    without,
)


@dataclass(frozen=True)
class Knobs:
    bits: int
    group_size: int  # -1: one group a row
    outlier_threshold: float = 0.2  # τ; a smaller one makes more outliers, infinity none
    scale_bits: int | None = 3  # of the second level; None: scales and zeros stay float16
    scale_group: int = 16  # output rows that share a second-level scale


@dataclass
class Quantized:
    """Everything in walking order: position p is column `order[p]` of the matrix."""

    weight: Any  # [out, in] float32, in the matrix's own order
    codes: Any  # [in, out] uint8
    outliers: Any  # [in, out] bool
    levels: list[tuple[Level, Level] | tuple[Any, Any]]  # (scale, zero) of each group of columns
    loss: float


class _SpqrRule:
    def __init__(self, knobs: Knobs, threshold: float, shape: tuple[int, int], device: Any) -> None:
        import torch

        self.knobs = knobs
        self.threshold = threshold
        self.codes = torch.empty(shape, dtype=torch.uint8, device=device)
        self.outliers = torch.zeros(shape, dtype=torch.bool, device=device)
        self.levels: list[tuple[Any, Any]] = []
        self.grid: Grid

    def begin_group(self, first: int, weights: Any, diagonal: Any) -> None:
        del first
        knobs = self.knobs
        grid = fit_group(weights, knobs.bits)
        if math.isfinite(self.threshold):
            likely = likely_outliers(weights, diagonal, knobs.bits, self.threshold)
            if bool(likely.any()):
                grid = fit_group(without(weights, likely), knobs.bits)
        if knobs.scale_bits is None:
            self.grid = stored(grid)
            self.levels.append((self.grid.scale.half(), self.grid.zero.half()))
            return
        scale, zero = (second_level(x, knobs.scale_bits, knobs.scale_group) for x in (grid.scale, grid.zero))
        self.levels.append((scale, zero))
        self.grid = decoded(scale, zero, knobs.bits, weights.shape[1])

    def column(self, column: int, weights: Any, diagonal: Any) -> Any:
        import torch

        codes = self.grid.codes(weights)
        self.codes[column] = codes
        values = self.grid.values(codes)
        if not math.isfinite(self.threshold):
            return values
        outlier = ((weights - values) / diagonal).square() > self.threshold
        self.outliers[column] = outlier
        return torch.where(outlier, weights, values)


def decoded(scale: Any, zero: Any, bits: int, rows: int) -> Grid:
    """The grid that a group's stored scale and zero stand for."""
    if isinstance(scale, Level):
        return Grid(scale.decode(rows).clamp(min=TINY), zero.decode(rows), bits)
    return Grid(scale.float().clamp(min=TINY), zero.float(), bits)


def quantize_matrix(weight: Any, factor: Factor, knobs: Knobs, check: Callable[[], None]) -> Quantized:
    """`weight`: [out, in] of any floating dtype. T = τ · mean_c(var_rows(W_c) / U_cc²) (SpQR, algorithm 1)."""
    columns = weight.t().float().contiguous()
    columns[factor.dead] = 0.0
    columns = columns[factor.order]
    diagonal = factor.upper.diagonal()
    spread = columns.var(dim=1) if columns.shape[1] > 1 else columns.square().mean(1)
    threshold = knobs.outlier_threshold * float((spread / diagonal.square()).mean())
    if math.isnan(threshold):  # infinity of nothing
        threshold = math.inf
    rule = _SpqrRule(knobs, threshold, tuple(columns.shape), columns.device)
    loss = walk(columns, factor.upper, knobs.group_size, rule, check)
    result = columns.new_empty(columns.shape)
    result[factor.order] = columns
    return Quantized(result.t().contiguous(), rule.codes, rule.outliers, rule.levels, float(loss.sum()))
