"""Quantize weight matrices column by column. W8A8 and SpQR share this solver, which follows GPTQ.

In a shape, `...` stands for nothing, or for a batch dimension: matrices of one shape, each with its own Hessian, are
solved together. Matrices that share a Hessian are concatenated along [out].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from faq_tui.core.quantizing.sequential.hessian import Factor

BLOCK = 128  # columns per block; after each block, all later columns are updated
STEP = 32  # columns per step; after each step, the rest of the block is updated


class Rule(Protocol):
    """How a method rounds weights. W is stored transposed, so that a column of W is one contiguous row."""

    def begin_group(self, first: int, weights: Any, diagonal: Any) -> None:
        """Begin a group at column `first`.

        `weights` [..., group, out] include the corrections so far. `diagonal` [..., group] is the diagonal of U.
        """

    def begin_block(self, start: int, stop: int, diagonal: Any) -> None:
        """Begin the block of columns `start` to `stop`.

        `diagonal` [..., block] is the part of U's diagonal for these columns.
        """

    def column(self, offset: int, weights: Any, values: Any, error: Any) -> None:
        """Write the quantized `weights` to `values`, and weights - values to `error`.

        All three have the shape [..., out]. `offset` is the number of the column, counted from the block's start.
        """


def arranged(weights: Sequence[Any], factor: Factor, multiple: int = 1) -> Any:
    """Concatenate and transpose matrices [..., out, in] to one float32 tensor [..., in, all out] in solving order.

    Dead columns are set to zero. Each matrix is padded with copies of its last row to a multiple of `multiple` rows.
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


def walk(columns: Any, upper: Any, group_size: int, rule: Rule, check: Callable[[], None]) -> Any:
    """Quantize `columns` ([..., in, out] float32) in place. Returns the loss of each output, [..., out].

    For each column c, err = (w - ŵ) / U_cc is computed and err · U[c, c+1:] is subtracted from W[:, c+1:] (GPTQ,
    arXiv:2210.17323, algorithm 1). The loss is sum(err²) / 2: the mean squared output error per token, computed with
    the damped Hessian. With `group_size` -1, all columns are one group. `check` is called once per block and may
    raise an exception.
    """
    count = columns.shape[-2]
    group = count if group_size == -1 else group_size
    # When a group begins, its first column must already contain the corrections for the errors of all earlier
    # columns.
    block = BLOCK if group_size == -1 or group % BLOCK == 0 or BLOCK % group == 0 else group
    step = STEP if group_size == -1 else math.gcd(group, STEP)
    diagonal = upper.diagonal(dim1=-2, dim2=-1)
    loss = columns.new_zeros((*columns.shape[:-2], columns.shape[-1]))
    for start in range(0, count, block):
        check()
        stop = min(start + block, count)
        part = columns[..., start:stop, :]
        errors, values = part.new_empty(part.shape), part.new_empty(part.shape)
        inverse = diagonal[..., start:stop, None].reciprocal()
        ahead = upper[..., start:stop, start:] * inverse  # U[c, :] / U_cc, so that errors need not be divided
        rule.begin_block(start, stop, diagonal[..., start:stop])
        # All views are made once per block, because making a view for each column would cost as much as the
        # arithmetic.
        rows, kept, off = part.unbind(-2), values.unbind(-2), errors.unbind(-2)
        for first in range(0, stop - start, step):
            last = min(first + step, stop - start)
            for i in range(first, last):
                if (start + i) % group == 0:
                    end = min(start + i + group, count)
                    rule.begin_group(start + i, columns[..., start + i : end, :], diagonal[..., start + i : end])
                rule.column(i, rows[i], kept[i], off[i])
                if i + 1 < last:
                    pull = ahead[..., i, i + 1 : last, None]
                    part[..., i + 1 : last, :].addcmul_(pull, off[i][..., None, :], value=-1)
            if last < stop - start:
                _pass_on(part[..., last:, :], ahead[..., first:last, last : stop - start], errors[..., first:last, :])
        part.copy_(values)
        loss += errors.mul(inverse).square_().sum(-2) / 2
        if stop < count:
            _pass_on(columns[..., stop:, :], ahead[..., stop - start :], errors)
    return loss


def _pass_on(rest: Any, ahead: Any, errors: Any) -> None:
    """Subtract aheadᵀ errors from `rest` in place."""
    if rest.dim() == 2:
        rest.addmm_(ahead.t(), errors, alpha=-1)
    else:
        rest.baddbmm_(ahead.mT, errors, alpha=-1)
