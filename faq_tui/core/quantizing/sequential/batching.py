"""Matrices whose inputs are known at the same moment, put together so that one walk over columns solves them all.

Those that share a Hessian stand side by side; experts of one shape, each with its own, make a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.sequential.groups import ModuleGroup
from faq_tui.core.quantizing.sequential.hessian import (
    Factor,
    Hessian,
    UnsolvableHessian,
    factorize,
    identity_factor,
    means,
)


@dataclass(frozen=True)
class SolvedMatrix:
    """`weight`: [out, in] as it will be read back, in the model's own dtype; `tensors`: what is stored of it."""

    weight: Any
    loss: float
    tensors: dict[str, Any] = field(default_factory=dict)


# (full names by Hessian and place, [batch, out, in] of each place, factor of the batch, check) -> by full name
Solve = Callable[[list[list[str]], list[Any], Factor, Callable[[], None]], dict[str, SolvedMatrix]]


class UnsolvableMatrix(FaqError):
    """Something is wrong with `module`, which is named relative to its layer."""

    def __init__(self, message: str, module: str) -> None:
        super().__init__(message)
        self.module = module


@dataclass(frozen=True)
class SolveBatch:
    """`modules`: by Hessian, those that share it, of the same shapes each time; `few`: they are only rounded."""

    shared: list[str]  # the module by which each Hessian goes
    modules: list[list[str]]
    few: bool

    def weights(self, modules: dict[str, Any]) -> list[Any]:
        """[batch, out, in] of each place. Raises Unfit if one is not finite."""
        import torch

        places = [
            torch.stack([modules[name].weight.data for name in names]) for names in zip(*self.modules, strict=True)
        ]
        finite = torch.stack([place.isfinite().flatten(1).all(1) for place in places], 1).tolist()
        for names, row in zip(self.modules, finite, strict=True):
            if not all(row):
                raise UnsolvableMatrix("its weights are not finite", names[row.index(False)])
        return places

    def factor(self, hessians: dict[str, Hessian], damp: float, by_activation: bool) -> Factor:
        """Raises Unfit if a Hessian is not finite, or if no damping makes it positive definite."""
        found = [hessians[name] for name in self.shared]
        if self.few:
            return identity_factor(len(found[0].sum), found[0].sum.device, (len(found),))
        try:
            return factorize(means(found), damp, by_activation)
        except UnsolvableHessian as error:
            raise UnsolvableMatrix(str(error), self.modules[error.index][0]) from error


def batch_matrices(group: ModuleGroup, modules: dict[str, Any], few: set[str], budget: int) -> list[SolveBatch]:
    """`few`: Hessians of too few tokens; `budget`: bytes that the work on one batch may take, one module at least."""
    alike: dict[tuple[Any, ...], list[list[str]]] = {}
    for shared in dict.fromkeys(group.inputs.values()):
        sharing = [name for name in group.modules if group.inputs[name] == shared]
        for names in _portions(sharing, modules, budget):
            shapes = tuple(modules[name].weight.shape for name in names)
            alike.setdefault((shapes, shared in few), []).append(names)
    found = []
    for (shapes, only_rounded), batch in alike.items():
        size = max(1, budget // _bytes(shapes))
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            found.append(SolveBatch([group.inputs[names[0]] for names in part], part, only_rounded))
    return found


def _portions(names: list[str], modules: dict[str, Any], budget: int) -> list[list[str]]:
    """Neighbours that fit into the budget side by side."""
    found: list[list[str]] = []
    for name in names:
        wider = [modules[other].weight.shape for other in [*(found[-1] if found else []), name]]
        if found and _bytes(tuple(wider)) <= budget:
            found[-1].append(name)
        else:
            found.append([name])
    return found


def _bytes(shapes: tuple[Any, ...]) -> int:
    """Of the weights, their copy in float32, codes, errors and result; and of the Hessian, its factor and a copy."""
    columns = shapes[0][1]
    return int(sum(24 * out * columns for out, _ in shapes) + 12 * columns**2)
