"""One weight matrix in INT8 with a scale for each output channel, by GPTQ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faq_tui.core.quantizing.hessian import Factor
from faq_tui.core.quantizing.solver import walk

LARGEST = 127  # symmetric: -128 is not used


class _ChannelRule:
    def __init__(self, scale: Any, columns: Any) -> None:
        self.scale = scale
        self.codes = columns.new_empty(columns.shape)

    def begin_group(self, first: int, weights: Any, diagonal: Any) -> None:
        """The scale is the whole channel's, known before."""

    def column(self, column: int, weights: Any, diagonal: Any) -> Any:
        del diagonal
        codes = (weights / self.scale).round_().clamp_(-LARGEST, LARGEST)
        self.codes[column] = codes
        return codes * self.scale


def quantize_matrix(weight: Any, factor: Factor, check: Callable[[], None]) -> tuple[Any, Any, float]:
    """[out, in] of any floating dtype -> codes int8 [out, in], scale [out, 1] in the same dtype, loss.

    scale = max|w| / 127 a row, rounded to the dtype in which it is stored before any code is chosen.
    """
    import torch

    scale = (weight.float().abs().amax(1) / LARGEST).clamp(min=torch.finfo(torch.float16).tiny).to(weight.dtype)
    columns = weight.t().float().contiguous()
    columns[factor.dead] = 0.0
    columns = columns[factor.order]
    rule = _ChannelRule(scale.float(), columns)
    loss = walk(columns, factor.upper, -1, rule, check)
    codes = torch.empty_like(rule.codes)
    codes[factor.order] = rule.codes
    return codes.t().to(torch.int8).contiguous(), scale[:, None], float(loss.sum())
