"""Make batches of weight matrices that are solved together.

Matrices can be solved together if their inputs are known at the same time.

Matrices that share a Hessian are concatenated. Experts of one shape form a batch, in which each expert has its own
Hessian.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.sequential.groups import ModuleGroup
from faq_tui.core.quantizing.sequential.hessian import (
    Factor,
    Hessian,
    UnsolvableHessian,
    drifts,
    factorize,
    identity_factor,
    means,
    with_drift,
)


@dataclass(frozen=True)
class SolvedMatrix:
    """A quantized matrix.

    `weight` is the dequantized matrix [out, in] in the model's dtype. `tensors` are the tensors that are written to
    disk.
    """

    weight: Any
    loss: float
    tensors: dict[str, Any] = field(default_factory=dict)


def stored_tensors(solved: Mapping[str, SolvedMatrix]) -> dict[str, Any]:
    """The stored tensors of all modules, by name."""
    return {name: tensor for matrix in solved.values() for name, tensor in matrix.tensors.items()}


# A function that solves a batch. The function has four arguments: the names of the modules
# (names[hessian][position]), the weights [batch, out, in] at each position, the factor of the batch, and a function
# that raises Stopped after a cancel. The function returns a dict from the full name of each module to the module's
# solved matrix.
Solve = Callable[[list[list[str]], list[Any], Factor, Callable[[], None]], dict[str, SolvedMatrix]]


class UnsolvableMatrix(FaqError):
    """The weight matrix of a module cannot be quantized. `module` is the module's name within its layer."""

    def __init__(self, message: str, module: str) -> None:
        super().__init__(message)
        self.module = module


@dataclass(frozen=True)
class Ordering:
    """The settings with which a method uses the Hessians.

    The docstring of `factorize` explains `damp`, `by_activation` and `group`.

    `alpha` is the share of the inputs' errors that is corrected (see `with_drift`). If `alpha` is None, these errors
    are not corrected, and the unquantized model need not be run.
    """

    damp: float
    by_activation: bool = True
    group: int = 0
    alpha: float | None = None


@dataclass(frozen=True)
class SolveBatch:
    """Matrices that are solved together.

    `modules` has one list for each Hessian. The list holds the modules that share the Hessian. All lists have the
    same length. Modules at the same index of their lists have the same shape. If `few` is true, the modules got too
    few tokens and are only rounded.
    """

    shared: list[str]  # the names under which the Hessians are stored; each is the name of a module
    modules: list[list[str]]
    few: bool

    def weights(self, modules: dict[str, Any]) -> list[Any]:
        """A list of stacked weights [batch, out, in], one for each position in the lists of `modules`.

        Raises UnsolvableMatrix if a weight is not finite.
        """
        import torch

        stacks = [
            torch.stack([modules[name].weight.data for name in names]) for names in zip(*self.modules, strict=True)
        ]
        finite = torch.stack([stack.isfinite().flatten(1).all(1) for stack in stacks], 1).tolist()
        for names, row in zip(self.modules, finite, strict=True):
            if not all(row):
                raise UnsolvableMatrix("its weights are not finite", names[row.index(False)])
        return stacks

    def factor(self, hessians: dict[str, Hessian], ordering: Ordering) -> Factor:
        """The Cholesky factors of the batch.

        Raises UnsolvableMatrix if a Hessian is not finite, or if no damping makes it positive definite.
        """
        shared = [hessians[name] for name in self.shared]
        if self.few:
            return identity_factor(len(shared[0].sum), shared[0].sum.device, (len(shared),))
        try:
            factor = factorize(means(shared), ordering.damp, ordering.by_activation, ordering.group)
        except UnsolvableHessian as error:
            raise UnsolvableMatrix(str(error), self.modules[error.index][0]) from error
        drift = drifts(shared)
        return factor if drift is None else with_drift(factor, drift, ordering.alpha or 0.0)


def batch_matrices(group: ModuleGroup, modules: dict[str, Any], few: set[str], budget: int) -> list[SolveBatch]:
    """Split a group into batches of at most `budget` bytes.

    `few` has the names of the Hessians that were computed from too few tokens.

    A batch holds at least one module, even if this module alone exceeds the budget.
    """
    alike: dict[tuple[Any, ...], list[list[str]]] = {}
    for shared in dict.fromkeys(group.inputs.values()):
        sharing = [name for name in group.modules if group.inputs[name] == shared]
        for names in _portions(sharing, modules, budget):
            shapes = tuple(modules[name].weight.shape for name in names)
            alike.setdefault((shapes, shared in few), []).append(names)
    batches = []
    for (shapes, only_rounded), batch in alike.items():
        size = max(1, budget // _bytes(shapes))
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            batches.append(SolveBatch([group.inputs[names[0]] for names in part], part, only_rounded))
    return batches


def _portions(names: list[str], modules: dict[str, Any], budget: int) -> list[list[str]]:
    """Split `names`, in their order, into lists. The concatenated matrices of a list fit into the budget."""
    portions: list[list[str]] = []
    for name in names:
        wider = [modules[other].weight.shape for other in [*(portions[-1] if portions else []), name]]
        if portions and _bytes(tuple(wider)) <= budget:
            portions[-1].append(name)
        else:
            portions.append([name])
    return portions


def _bytes(shapes: tuple[Any, ...]) -> int:
    """The bytes of memory that the modules need while they are solved.

    The function counts the weights, their float32 copy, the codes, the errors and the result. The function also
    counts the Hessian, its factor and its copy.
    """
    columns = shapes[0][1]
    return int(sum(24 * out * columns for out, _ in shapes) + 12 * columns**2)
