"""The second-order statistics of one module's inputs, and the Cholesky factor that the solver walks by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faq_tui.core.errors import FaqError

DAMP_STEPS = (1.0, 10.0, 100.0, 1000.0)  # of the damping asked for, until the matrix is positive definite


class Hessian:
    """H = mean of 2 x xᵀ over calibration tokens x, in float32 on the device of the inputs."""

    def __init__(self, in_features: int, device: Any) -> None:
        import torch

        self.sum = torch.zeros((in_features, in_features), dtype=torch.float32, device=device)
        self.tokens = 0

    def add(self, inputs: Any) -> None:
        """`inputs`: [..., in_features] of any floating dtype."""
        rows = inputs.detach().reshape(-1, self.sum.shape[0]).float()
        self.sum.addmm_(rows.t(), rows)
        self.tokens += rows.shape[0]

    def mean(self) -> Any:
        """[in_features, in_features]; raises FaqError if nothing was added or an input was not finite."""
        import torch

        if not self.tokens:
            raise FaqError("no calibration token reached it")
        mean = self.sum * (2.0 / self.tokens)
        if not bool(torch.isfinite(mean.diagonal()).all()):
            raise FaqError("its inputs are not finite")
        return mean


@dataclass(frozen=True)
class Factor:
    """`upper`: U with Uᵀ U = H⁻¹, rows and columns in the order `order` (positions -> columns of W)."""

    upper: Any  # [in, in] float32
    order: Any  # [in] int64
    dead: Any  # [in] bool, columns of W that no input ever reached
    damp: float  # what was added to the diagonal, over the mean of its absolute values


def factorize(mean: Any, damp: float, by_activation: bool) -> Factor:
    """Steps 1 of SpQR (Dettmers et al. 2023) and of GPTQ (Frantar et al. 2022).

    `by_activation`: columns by falling diagonal of H, else as they are. Dead columns get H_ii = 1. Then
    H += damp * mean(|diag H|) * I, and U is the upper Cholesky factor of H⁻¹. More damping is tried until that
    exists; raises FaqError if none helps.
    """
    import torch

    dead = mean.diagonal() == 0
    hessian = mean.clone()
    hessian.diagonal()[dead] = 1.0
    order = torch.arange(len(hessian), device=hessian.device)
    if by_activation:
        order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
        hessian = hessian[order][:, order]
    level = hessian.diagonal().abs().mean()
    for step in DAMP_STEPS:
        damped = hessian.clone()
        damped.diagonal().add_(damp * step * level)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if int(failed):
            continue
        upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
        if not int(failed):
            return Factor(upper, order, dead, damp * step)
    raise FaqError(f"its Hessian is not positive definite even with damp_percent {damp * DAMP_STEPS[-1]:g}")


def identity_factor(in_features: int, device: Any) -> Factor:
    """With it the solver only rounds: for modules that too few tokens reached."""
    import torch

    return Factor(
        torch.eye(in_features, device=device),
        torch.arange(in_features, device=device),
        torch.zeros(in_features, dtype=torch.bool, device=device),
        0.0,
    )
