"""A Triton kernel that searches for the best scale of each group of weights on CUDA.

The search tries many ranges of each group. In torch, each range needs about ten CUDA kernels. This kernel tries all
ranges of a group in one program.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from faq_tui.core.base import steps

OUTPUTS = 32  # number of outputs that one program computes
CHUNK = 64  # number of a group's columns that are in registers at the same time


@cache
def _kernel() -> Any:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def search(  # type: ignore[no-untyped-def]
        weights,
        low,
        high,
        shares,
        scales,
        zeros,
        outputs,
        columns,
        weights_batch,
        weights_row,
        most,
        middle,
        tiny,
        norm,
        STEPS: tl.constexpr,
        SIZE: tl.constexpr,
        BLOCK: tl.constexpr,
        SYMMETRIC: tl.constexpr,
    ):
        batch = tl.program_id(1).to(tl.int64)
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = at < outputs
        column = tl.arange(0, SIZE)
        least = tl.load(low + batch * outputs + at, mask=inside, other=0.0)
        largest = tl.load(high + batch * outputs + at, mask=inside, other=0.0)
        best = tl.full((BLOCK,), float("inf"), tl.float32)
        best_scale = tl.full((BLOCK,), 1.0, tl.float32)
        best_zero = tl.full((BLOCK,), 0.0, tl.float32)
        for step in range(STEPS):
            share = tl.load(shares + step)
            start = least * share
            scale = tl.maximum(tl.math.div_rn(largest * share - start, tl.zeros_like(start) + most), tiny)
            scale = tl.maximum(scale.to(tl.float16).to(tl.float32), tiny)
            zero = tl.zeros_like(scale) + middle
            if not SYMMETRIC:
                # Adding 1.5 · 2^23 rounds half to even, as torch does. See column_kernel.py.
                zero = tl.math.div_rn(-start, scale)
                zero = tl.where(tl.abs(zero) < 4194304.0, (zero + 12582912.0) - 12582912.0, zero)
                zero = tl.minimum(tl.maximum(zero, 0.0), most)
            error = tl.zeros_like(scale)
            for first in range(0, columns, SIZE):
                held = (first + column[:, None] < columns) & inside[None, :]
                tile = weights + batch * weights_batch + (first + column[:, None]) * weights_row + at[None, :]
                values = tl.load(tile, mask=held, other=0.0)
                code = tl.math.div_rn(values, tl.zeros_like(values) + scale[None, :])
                code = tl.where(tl.abs(code) < 4194304.0, (code + 12582912.0) - 12582912.0, code)
                code = tl.minimum(tl.maximum(code + zero[None, :], 0.0), most)
                lost = tl.abs((code - zero[None, :]) * scale[None, :] - values)
                power = tl.where(lost > 0.0, tl.exp2(norm * tl.log2(tl.maximum(lost, 1e-30))), 0.0)
                error += tl.sum(tl.where(held, power, 0.0), 0)
            better = error < best
            best = tl.where(better, error, best)
            best_scale = tl.where(better, scale, best_scale)
            best_zero = tl.where(better, zero, best_zero)
        tl.store(scales + batch * outputs + at, best_scale, mask=inside)
        tl.store(zeros + batch * outputs + at, best_zero, mask=inside)

    return search


def search_scale(
    weights: Any, low: Any, high: Any, shares: list[float], most: int, symmetric: bool, tiny: float, norm: float
) -> tuple[Any, Any]:
    """The scale and the zero point [..., out] with the smallest sum of |error|^norm over the group.

    `weights` [..., group, out] float32 are on CUDA, and the last dimension is contiguous. `low` and `high` [..., out]
    are the ends of the whole range. For each of `shares`, the search tries the range from low · share to high ·
    share. If no range has a finite error, the result is the scale 1 and the zero point 0.
    """
    import torch
    import triton

    wide = weights.dim() == 3
    columns, outputs = weights.shape[-2:]
    low, high = low.contiguous(), high.contiguous()
    scales, zeros = torch.empty_like(low), torch.empty_like(low)
    tried = torch.tensor(shares, dtype=torch.float32, device=weights.device)
    # the first call compiles the kernel
    with steps.step("building a GPU kernel", at_once=not _kernel.cache_info().currsize):
        _kernel()[(triton.cdiv(outputs, OUTPUTS), weights.shape[0] if wide else 1)](
            *(weights, low, high, tried, scales, zeros, outputs, columns),
            *(weights.stride(0) if wide else 0, weights.stride(-2), float(most), float((most + 1) // 2), tiny, norm),
            STEPS=len(shares),
            SIZE=min(CHUNK, max(16, 2 ** math.ceil(math.log2(columns)))),
            BLOCK=OUTPUTS,
            SYMMETRIC=symmetric,
            num_warps=4,
        )
    return scales, zeros
