"""The walk over the columns of one weight matrix that GPTQ, W8A8 and SpQR share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

BLOCK = 128  # columns whose errors are handed on at once to all later ones


class Rule(Protocol):
    """How weights become quantized ones. Columns come first everywhere: a column of W is one contiguous row."""

    def begin_group(self, first: int, weights: Any, diagonal: Any) -> None:
        """`weights`: [group, out], compensated up to here, from column `first`; `diagonal`: [group] of U."""

    def column(self, column: int, weights: Any, diagonal: Any) -> Any:
        """[out] -> what takes their place, [out]; `diagonal`: U_cc, a scalar tensor."""


def walk(columns: Any, upper: Any, group_size: int, rule: Rule, check: Callable[[], None]) -> Any:
    """Quantize `columns` ([in, out] float32, changed in place); the loss of every output, [out].

    For each column c: err = (w - ŵ) / U_cc, then W[:, c+1:] -= err · U[c, c+1:] (GPTQ, arXiv:2210.17323,
    algorithm 1). The loss is sum(err²) / 2, the mean squared output error a token as the damped Hessian has it.
    `group_size` -1 is one group; `check` is called once a block and may raise.
    """
    import torch

    count = columns.shape[0]
    group = count if group_size == -1 else group_size
    # A group must begin where all columns before it have been handed on.
    block = BLOCK if group % BLOCK == 0 or BLOCK % group == 0 else group
    diagonal = upper.diagonal()
    loss = torch.zeros(columns.shape[1], device=columns.device)
    for start in range(0, count, block):
        check()
        stop = min(start + block, count)
        part, errors = columns[start:stop], torch.empty_like(columns[start:stop])
        local = upper[start:stop, start:stop]
        for c in range(start, stop):
            if c % group == 0:
                last = min(c + group, count)
                rule.begin_group(c, columns[c:last], diagonal[c:last])
            row, i = part[c - start], c - start
            quantized = rule.column(c, row, diagonal[c])
            error = (row - quantized) / diagonal[c]
            errors[i] = error
            row.copy_(quantized)
            if i + 1 < len(part):
                part[i + 1 :].addr_(local[i, i + 1 :], error, alpha=-1)
        loss += errors.square().sum(0) / 2
        if stop < count:
            columns[stop:].addmm_(upper[start:stop, stop:].t(), errors, alpha=-1)
    return loss
