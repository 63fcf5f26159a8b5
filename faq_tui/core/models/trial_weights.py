"""Give random weights that take almost no memory to a model without weights, so that its own code can be called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

FEW_IDS = 64  # the number of token ids that lm_head knows in a trial call


def random_weight(shape: Sequence[int], dtype: Any) -> Any:
    """A tensor [.., out, in] of random numbers. It takes the memory of only a few of its rows.

    The element i, j, … is number i + j + … of a list of random numbers (a Hankel matrix), so the rows share memory.
    """
    import torch

    shape = tuple(shape)
    if len(shape) < 2:
        return torch.randn(shape, dtype=dtype)
    numbers = torch.randn(sum(shape) - len(shape) + 1, dtype=dtype) / shape[-1] ** 0.5
    return numbers.as_strided(shape, [1] * len(shape))


def give_weights(module: Any, skip: Iterable[Any] = (), head: Any = None) -> None:
    """Give random weights to all parameters of `module` that have none, except the parameters in `skip`.

    The table of `head` (lm_head) becomes small, because its product with the hidden states would take memory.
    """
    left = {id(parameter) for parameter in skip}
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if weight.is_meta and id(weight) not in left:
                shape = [min(FEW_IDS, len(weight)), *weight.shape[1:]] if part is head else weight.shape
                fill(part, name, random_weight(shape, weight.dtype))


def fill(module: Any, name: str, values: Any) -> None:
    import torch

    setattr(module, name, torch.nn.Parameter(values, requires_grad=False))
