"""Quantize weight matrices to INT8 by GPTQ, with one scale per output channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.quantizing.methods.w8a8.format import LARGEST
from faq_tui.core.quantizing.sequential.column_kernel import RunGrid
from faq_tui.core.quantizing.sequential.hessian import Factor
from faq_tui.core.quantizing.sequential.solver import arranged, restored, walk


@dataclass(frozen=True)
class Int8:
    """Quantized INT8 matrices. In the shapes, `...` stands for one batch dimension or for none."""

    codes: Any  # [..., out, in] int8
    scale: Any  # [..., out, 1] in the matrix's own dtype
    loss: Any  # the loss of each matrix, [...]


class _ChannelRule:
    def __init__(self, scale: Any, columns: Any) -> None:
        self.scale, self.zero = scale, scale.new_zeros(scale.shape)
        self.codes = columns.new_empty(columns.shape)
        self.rows: Sequence[Any] = ()

    def begin_group(self, first: int, weights: Any, diagonal: Any) -> None:
        """Do nothing, because the scales of all channels are computed before the first column is quantized."""

    def begin_block(self, start: int, stop: int, diagonal: Any) -> None:
        del diagonal
        self.rows = self.codes[..., start:stop, :].unbind(-2)

    def column(self, offset: int, weights: Any, values: Any, error: Any) -> None:
        import torch

        codes = self.rows[offset]
        torch.div(weights, self.scale, out=codes).round_().clamp_(-LARGEST, LARGEST)
        torch.mul(codes, self.scale, out=values)
        torch.sub(weights, values, out=error)

    def run_grid(self, first: int, last: int) -> RunGrid:
        del first, last
        return RunGrid(self.scale, self.zero, -LARGEST, LARGEST)


def quantize_stack(weights: Sequence[Any], factor: Factor, check: Callable[[], None]) -> list[Int8]:
    """Quantize matrices [..., out, in] that share their Hessians.

    Any floating dtype is allowed. The matrices may have different sizes [out].

    The scale of each row is max|w| / 127. The scale is first rounded to the dtype in which it is stored. The codes
    are computed from the rounded scale.
    """
    import torch

    scales = [
        (weight.float().abs().amax(-1) / LARGEST).clamp(min=torch.finfo(weight.dtype).tiny).to(weight.dtype)
        for weight in weights
    ]
    columns = arranged(weights, factor)
    rule = _ChannelRule(torch.cat(scales, -1).float(), columns)
    loss = walk(columns, factor.upper, -1, rule, check)
    codes = restored(rule.codes.to(torch.int8), factor.order)
    sizes = [weight.shape[-2] for weight in weights]
    return [
        Int8(part.mT.contiguous(), scale[..., None], lost.sum(-1))
        for part, scale, lost in zip(codes.split(sizes, -1), scales, loss.split(sizes, -1), strict=True)
    ]


def quantize_matrix(weight: Any, factor: Factor, check: Callable[[], None]) -> tuple[Any, Any, float]:
    """Quantize a single matrix [out, in]. Returns codes int8 [out, in], scale [out, 1] and the loss."""
    (made,) = quantize_stack([weight], factor, check)
    return made.codes, made.scale, float(made.loss)
