"""The Hessian of one module's inputs, and its Cholesky factor for the solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import FaqError

DAMP_STEPS = (
    1.0,
    10.0,
    100.0,
    1000.0,
)  # factors of the recipe's damping, tried until the matrix is positive definite


class UnsolvableHessian(FaqError):
    """The Hessian at `index` of the batch has no Cholesky factor."""

    def __init__(self, message: str, index: int = 0) -> None:
        super().__init__(message)
        self.index = index


class Hessian:
    """Accumulates H, the mean of 2 x xᵀ over all calibration tokens x, in float32 on the inputs' device."""

    def __init__(self, in_features: int, device: Any) -> None:
        import torch

        self.sum = torch.zeros((in_features, in_features), dtype=torch.float32, device=device)
        self.tokens = 0

    def add(self, inputs: Any) -> None:
        """Add `inputs`: [..., in_features] of any floating dtype."""
        rows = inputs.detach().reshape(-1, self.sum.shape[0]).float()
        self.sum.addmm_(rows.t(), rows)
        self.tokens += rows.shape[0]

    def mean(self) -> Any:
        """The Hessian H, [in_features, in_features].

        Raises UnsolvableHessian if nothing was added or an input was not finite.
        """
        return means([self])[0]


def means(hessians: Sequence[Hessian]) -> Any:
    """The Hessians H, [len(hessians), in_features, in_features]. Raises the same errors as `Hessian.mean`."""
    import torch

    for index, hessian in enumerate(hessians):
        if not hessian.tokens:
            raise UnsolvableHessian("no calibration token reached it", index)
    shares = torch.tensor([2.0 / hessian.tokens for hessian in hessians], device=hessians[0].sum.device)
    averages = torch.stack([hessian.sum for hessian in hessians]).mul_(shares[:, None, None])
    finite = averages.diagonal(dim1=-2, dim2=-1).isfinite().all(-1).tolist()
    if not all(finite):
        raise UnsolvableHessian("its inputs are not finite", finite.index(False))
    return averages


@dataclass(frozen=True)
class Factor:
    """The Cholesky factor U of inverse Hessians: Uᵀ U = H⁻¹.

    The rows and columns of `upper` are in solving order: position p belongs to column `order[p]` of W. In the shapes,
    `...` stands for nothing, or for a batch dimension of matrices that are solved together.
    """

    upper: Any  # U, [..., in, in] float32
    order: Any  # [..., in] int64
    dead: Any  # [..., in] bool, true for columns of W whose inputs are always zero
    damp: Any  # [...] on the CPU, the damping that was used, relative to the mean absolute diagonal of H


def factorize(mean: Any, damp: float, by_activation: bool) -> Factor:
    """Compute the Cholesky factor U of the inverse of each Hessian in `mean`, [..., in, in].

    This is the first step of SpQR (Dettmers et al. 2023) and of GPTQ (Frantar et al. 2022). With `by_activation`,
    columns are sorted by falling diagonal of H, with dead columns last; otherwise the columns keep their order. Each
    dead column gets H_ii = 1. Then damp * mean(|diag H|) is added to the diagonal of H, and U is the upper Cholesky
    factor of H⁻¹. If H⁻¹ has no such factor, more damping is tried. Raises UnsolvableHessian if no damping helps.
    """
    import torch

    diagonal = mean.diagonal(dim1=-2, dim2=-1)
    dead = diagonal == 0
    order = torch.arange(mean.shape[-1], device=mean.device).expand(diagonal.shape)
    if by_activation:
        order = torch.argsort(diagonal, dim=-1, descending=True, stable=True)
    diagonal = diagonal.masked_fill(dead, 1.0)
    level = diagonal.abs().mean(-1)
    count = mean.shape[-1]
    flat, orders = mean.reshape(-1, count, count), order.reshape(-1, count)
    diagonals, levels = diagonal.reshape(-1, count), level.reshape(-1)
    upper = torch.empty_like(flat)
    used = torch.full((len(flat),), damp)
    # The matrices are factorized one by one: LAPACK has no batched function, and cuSOLVER's batched function is meant
    # for small matrices.
    infos = [
        _factor(flat[i], diagonals[i], orders[i], damp * DAMP_STEPS[0] * levels[i], upper[i])
        for i in range(len(flat))
    ]
    for index, failed in enumerate(torch.stack(infos).tolist()):
        steps = iter(DAMP_STEPS[1:])
        while failed:
            step = next(steps, None)
            if step is None:
                most = damp * DAMP_STEPS[-1]
                raise UnsolvableHessian(
                    f"its Hessian is not positive definite even with damp_percent {most:g}", index
                )
            used[index] = damp * step
            failed = int(
                _factor(flat[index], diagonals[index], orders[index], damp * step * levels[index], upper[index])
            )
    return Factor(upper.reshape(mean.shape), order, dead, used.reshape(level.shape))


def _factor(mean: Any, diagonal: Any, order: Any, added: Any, out: Any) -> Any:
    """Write U into `out`. Returns a tensor that is true if this fails, so that the CPU need not wait for the GPU.

    Let J be the matrix that reverses the order of rows. If J H J = L Lᵀ, then H⁻¹ = (J L⁻¹ J)ᵀ (J L⁻¹ J), and J L⁻¹ J
    is upper triangular. This needs one Cholesky factorization; inverting H would need two.
    """
    import torch

    turned = order.flip(0)
    hessian = mean[turned][:, turned]
    hessian.diagonal().copy_(diagonal[turned] + added)
    lower, failed = torch.linalg.cholesky_ex(hessian)
    unit = torch.eye(len(hessian), device=hessian.device)
    inverse = torch.linalg.solve_triangular(lower, unit, upper=False)
    out.copy_(inverse.flip(0, 1))
    return (failed != 0) | ~out.diagonal().isfinite().all()


def identity_factor(in_features: int, device: Any, batch: tuple[int, ...] = ()) -> Factor:
    """A factor with which the solver only rounds. It is used for modules that too few tokens reached."""
    import torch

    return Factor(
        torch.eye(in_features, device=device).expand(*batch, -1, -1),
        torch.arange(in_features, device=device).expand(*batch, -1),
        torch.zeros((*batch, in_features), dtype=torch.bool, device=device),
        torch.zeros(batch),
    )
