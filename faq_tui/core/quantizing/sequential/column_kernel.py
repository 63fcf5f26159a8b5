"""A Triton kernel that quantizes a run of columns on CUDA.

Each column is corrected for the errors of the columns before it.

Each column needs about ten operations on one row of numbers. If each operation were a separate CUDA kernel, launching
the kernels would take longer than the arithmetic. In this kernel, one program does all operations of a run for
OUTPUTS outputs, and keeps all weights that these operations need in registers.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any

from faq_tui.core.base import steps

OUTPUTS = 32  # number of outputs that one program computes
RUN = 64  # a run has at most this number of columns, because all of them are kept in registers


@dataclass(frozen=True)
class RunGrid:
    """The grid of a run: code = clamp(round(w / scale) + zero, least, most), ŵ = (code - zero) · scale.

    If `limit` is given, the zero point need not be a whole number, and the formula is code = clamp(round(w / scale +
    zero), least, most). With `limit`, a weight of column c is an outlier if |w - ŵ| > limit · diagonal_c. An outlier
    keeps its value.
    """

    scale: Any  # [..., out] float32
    zero: Any  # [..., out] float32
    least: float
    most: float
    limit: Any = None  # [..., out] float32
    diagonal: Any = None  # [..., run] float32
    outliers: Any = None  # [..., run, out] bool, written by `quantize_run`


@cache
def _kernel() -> Any:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def quantize(  # type: ignore[no-untyped-def]
        columns,
        ahead,
        drift,
        scale,
        zero,
        limit,
        diagonal,
        codes,
        values,
        errors,
        outliers,
        outputs,
        columns_batch,
        ahead_batch,
        ahead_row,
        drift_batch,
        drift_row,
        scale_batch,
        diagonal_batch,
        codes_batch,
        values_batch,
        outliers_batch,
        least,
        most,
        COUNT: tl.constexpr,
        SIZE: tl.constexpr,
        BLOCK: tl.constexpr,
        WITH_DRIFT: tl.constexpr,
        WITH_OUTLIERS: tl.constexpr,
    ):
        batch = tl.program_id(1).to(tl.int64)
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = at < outputs
        run = tl.arange(0, SIZE)
        tile = columns + batch * columns_batch + run[:, None] * outputs + at[None, :]
        held = (run[:, None] < COUNT) & inside[None, :]
        weights = tl.load(tile, mask=held, other=0.0)
        step = tl.load(scale + batch * scale_batch + at, mask=inside, other=1.0)
        origin = tl.load(zero + batch * scale_batch + at, mask=inside, other=0.0)
        if WITH_OUTLIERS:
            bound = tl.load(limit + batch * scale_batch + at, mask=inside, other=0.0)
        for i in range(COUNT):
            column = tl.sum(tl.where(run[:, None] == i, weights, 0.0), 0)
            code = tl.math.div_rn(column, step)
            if WITH_OUTLIERS:
                code += origin
            # Adding 1.5 · 2^23 to a float32 drops its fraction. The addition rounds half to even, as torch does.
            code = tl.where(tl.abs(code) < 4194304.0, (code + 12582912.0) - 12582912.0, code)
            if not WITH_OUTLIERS:
                code += origin
            code = tl.minimum(tl.maximum(code, least), most)
            value = (code - origin) * step
            error = column - value
            if WITH_OUTLIERS:
                outlier = tl.abs(error) > bound * tl.load(diagonal + batch * diagonal_batch + i)
                value = tl.where(outlier, column, value)
                error = tl.where(outlier, 0.0, error)
                tl.store(outliers + batch * outliers_batch + i * outputs + at, outlier, mask=inside)
            tl.store(codes + batch * codes_batch + i * outputs + at, code, mask=inside)
            tl.store(values + batch * values_batch + i * outputs + at, value, mask=inside)
            tl.store(errors + batch * values_batch + i * outputs + at, error, mask=inside)
            later = (run > i) & (run < COUNT)
            pull = tl.load(ahead + batch * ahead_batch + i * ahead_row + run, mask=later, other=0.0)
            weights -= pull[:, None] * error[None, :]
            if WITH_DRIFT:
                push = tl.load(drift + batch * drift_batch + i * drift_row + run, mask=later, other=0.0)
                weights += push[:, None] * column[None, :]
        tl.store(tile, weights, mask=held)

    return quantize


def usable(columns: Any) -> bool:
    """True if the kernel can run on the device of the tensor `columns`."""
    return bool(columns.is_cuda) and _installed()


@cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def quantize_run(columns: Any, ahead: Any, drift: Any, grid: RunGrid, codes: Any, values: Any, errors: Any) -> None:
    """Quantize a run of columns on CUDA. For each column, the result is the same as that of `Rule.column`.

    Each column in `columns` [..., run, out] is corrected for the errors of the columns before it, and then quantized.
    Afterwards, `columns` holds the corrected values, which are not quantized. `ahead` and `drift`, [..., run, run],
    are parts of the matrices with the same names in solver.walk. `drift` may be None. The function writes `codes` (as
    floats), `values` and `errors`, all [..., run, out]. The last dimension of every tensor must be contiguous.
    """
    import triton

    wide = columns.dim() == 3

    def batch(tensor: Any) -> int:
        return int(tensor.stride(0)) if wide else 0

    count, outputs = columns.shape[-2:]
    given = ahead if drift is None else drift
    limit, diagonal, outliers = (
        (grid.scale, grid.scale, codes) if grid.limit is None else (grid.limit, grid.diagonal, grid.outliers)
    )
    # the first call compiles the kernel
    with steps.step("building a GPU kernel", at_once=not _kernel.cache_info().currsize):
        _kernel()[(triton.cdiv(outputs, OUTPUTS), columns.shape[0] if wide else 1)](
            *(
                columns,
                ahead,
                given,
                grid.scale,
                grid.zero,
                limit,
                diagonal,
                codes,
                values,
                errors,
                outliers,
                outputs,
            ),
            *(batch(columns), batch(ahead), ahead.stride(-2), batch(given), given.stride(-2), batch(grid.scale)),
            *(batch(diagonal), batch(codes), batch(values), batch(outliers), grid.least, grid.most),
            COUNT=count,
            SIZE=max(16, triton.next_power_of_2(count)),
            BLOCK=OUTPUTS,
            WITH_DRIFT=drift is not None,
            WITH_OUTLIERS=grid.limit is not None,
            num_warps=4,
        )
