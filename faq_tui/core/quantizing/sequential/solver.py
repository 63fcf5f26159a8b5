"""Quantize weight matrices column by column. All methods of this engine share this solver, which follows GPTQ.

In a shape, `...` stands for a batch dimension or for no dimension. A batch consists of matrices of one shape that are
solved together, each with its own Hessian. Matrices that share a Hessian are concatenated along [out].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from faq_tui.core.quantizing.sequential import column_kernel
from faq_tui.core.quantizing.sequential.column_kernel import RunGrid
from faq_tui.core.quantizing.sequential.hessian import Factor

BLOCK = 128  # a block has this number of columns; after each block, all columns after it are updated
STEP = 32  # a step has this number of columns; after each step, the other columns of the block are updated


class Rule(Protocol):
    """The functions with which a method rounds weights.

    The weights W are stored transposed, so each column of W is a contiguous row in memory.
    """

    codes: Any  # [..., in, out] in solving order, as floats

    def begin_group(self, first: int, weights: Any, diagonal: Any) -> None:
        """Begin a group at column `first`.

        `weights` [..., group, out] are the group's weights with all corrections so far. `diagonal` [..., group] is
        the diagonal of U.
        """

    def begin_block(self, start: int, stop: int, diagonal: Any) -> None:
        """Begin the block of columns `start` to `stop`.

        `diagonal` [..., block] is the part of U's diagonal for these columns.
        """

    def column(self, offset: int, weights: Any, values: Any, error: Any) -> None:
        """Write the quantized `weights` to `values`, and the difference weights - values to `error`.

        The three tensors have the shape [..., out]. `offset` is the position of the column in its block.
        """

    def run_grid(self, first: int, last: int) -> RunGrid:
        """The grid of the columns from `first` to `last` in a block, for the CUDA kernel.

        All these columns are in one group.
        """


def arranged(weights: Sequence[Any], factor: Factor, multiple: int = 1) -> Any:
    """Concatenate and transpose matrices [..., out, in] to one float32 tensor [..., in, all out] in solving order.

    Dead columns are set to zero. Copies of a matrix's last row are appended to the matrix until its number of rows is
    a multiple of `multiple`.
    """
    import torch

    parts = []
    for weight in weights:
        parts.append(weight.mT.float())
        filled = -weight.shape[-2] % multiple
        if filled:
            parts.append(parts[-1][..., -1:].expand(*parts[-1].shape[:-1], filled))
    columns = torch.cat(parts, -1)
    return permuted(columns.masked_fill_(factor.dead[..., None], 0.0), factor.order)


def permuted(columns: Any, order: Any) -> Any:
    """Reorder the rows of [..., in, out], so that row `order[..., p]` is at position p."""
    import torch

    count = columns.shape[-2]
    batch = order.reshape(-1, count)
    rows = batch + count * torch.arange(len(batch), device=order.device)[:, None]
    return columns.reshape(-1, columns.shape[-1])[rows.reshape(-1)].reshape(columns.shape)


def restored(columns: Any, order: Any) -> Any:
    """Undo `permuted`."""
    return permuted(columns, order.argsort(-1))


def walk(columns: Any, upper: Any, group_size: int, rule: Rule, check: Callable[[], None], drift: Any = None) -> Any:
    """Quantize `columns` ([..., in, out] float32) in place. Returns the loss of each output, [..., out].

    For each column c, the function computes err = (w - ŵ) / U_cc, and subtracts err · U[c, c+1:] from W[:, c+1:]
    (GPTQ, arXiv:2210.17323, algorithm 1). The loss is sum(err²) / 2. This loss is the mean squared output error per
    token, computed with the damped Hessian. With `group_size` -1, all columns are one group. `check` is called once
    per block and may raise an exception.

    `drift` is the matrix P of the `Factor`, or None. If `drift` is given, w · P[c, c+1:] is added to W[:, c+1:]. Here
    w is the value of column c just before the column is quantized.
    """
    count = columns.shape[-2]
    group = count if group_size == -1 else group_size
    # Before a group begins, its columns must contain the corrections for the errors of all earlier columns.
    block = BLOCK if group_size == -1 or group % BLOCK == 0 or BLOCK % group == 0 else group
    fused = column_kernel.usable(columns)
    longest = column_kernel.RUN if fused else STEP
    step = longest if group_size == -1 else math.gcd(group, longest)
    diagonal = upper.diagonal(dim1=-2, dim2=-1)
    loss = columns.new_zeros((*columns.shape[:-2], columns.shape[-1]))
    for start in range(0, count, block):
        check()
        stop = min(start + block, count)
        part = columns[..., start:stop, :]
        errors, values = part.new_empty(part.shape), part.new_empty(part.shape)
        inverse = diagonal[..., start:stop, None].reciprocal()
        ahead = upper[..., start:stop, start:] * inverse  # U[c, :] / U_cc, so that errors need not be divided by U_cc
        rule.begin_block(start, stop, diagonal[..., start:stop])
        # All views are made once per block, because making a view for each column would cost as much as the
        # arithmetic.
        rows, kept, off = part.unbind(-2), values.unbind(-2), errors.unbind(-2)
        for first in range(0, stop - start, step):
            last = min(first + step, stop - start)
            if (start + first) % group == 0:
                end = min(start + first + group, count)
                rule.begin_group(
                    start + first, columns[..., start + first : end, :], diagonal[..., start + first : end]
                )
            if fused:
                here, own = slice(first, last), slice(start + first, start + last)
                column_kernel.quantize_run(
                    part[..., here, :],
                    ahead[..., here, here],
                    None if drift is None else drift[..., own, own],
                    rule.run_grid(first, last),
                    rule.codes[..., own, :],
                    values[..., here, :],
                    errors[..., here, :],
                )
            for i in range(first, last) if not fused else ():
                rule.column(i, rows[i], kept[i], off[i])
                if i + 1 < last:
                    pull = ahead[..., i, i + 1 : last, None]
                    part[..., i + 1 : last, :].addcmul_(pull, off[i][..., None, :], value=-1)
                    if drift is not None:
                        push = drift[..., start + i, start + i + 1 : start + last, None]
                        part[..., i + 1 : last, :].addcmul_(push, rows[i][..., None, :])
            if last < stop - start:
                rest = part[..., last:, :]
                _pass_on(rest, ahead[..., first:last, last : stop - start], errors[..., first:last, :], -1)
                if drift is not None:
                    _pass_on(
                        rest, drift[..., start + first : start + last, start + last : stop], part[..., first:last, :]
                    )
        loss += errors.mul(inverse).square_().sum(-2) / 2
        if stop < count:
            _pass_on(columns[..., stop:, :], ahead[..., stop - start :], errors, -1)
            if drift is not None:
                _pass_on(columns[..., stop:, :], drift[..., start:stop, stop:], part)
        part.copy_(values)
    return loss


def _pass_on(rest: Any, ahead: Any, given: Any, sign: int = 1) -> None:
    """Add sign · (aheadᵀ `given`) to `rest` in place."""
    if rest.dim() == 2:
        rest.addmm_(ahead.t(), given, alpha=sign)
    else:
        rest.baddbmm_(ahead.mT, given, alpha=sign)
