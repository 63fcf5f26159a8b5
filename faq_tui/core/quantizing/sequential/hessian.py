"""Compute the Hessian of a module's inputs, and its Cholesky factor for the solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.sequential.weights import Weighted

DAMP_STEPS = (
    1.0,
    10.0,
    100.0,
    1000.0,
)  # the recipe's damping is multiplied by these numbers, in this order, until the matrix is positive definite


class UnsolvableHessian(FaqError):
    """The Hessian at `index` of the batch has no Cholesky factor."""

    def __init__(self, message: str, index: int = 0) -> None:
        super().__init__(message)
        self.index = index


class Hessian:
    """Accumulates H, the weighted mean 2 Σ w x xᵀ / Σ w over all calibration tokens x, in float32 on their device.

    Without weights, w is 1 for every token. GPTAQ also needs C, the weighted mean of 2 (x̃ - x) xᵀ, where x̃ is the
    module's input in the unquantized model, for the same token. C is accumulated only if `drift` is true. `tokens` is
    the number of tokens with a weight above 0, and `weight` is the sum of their weights.
    """

    def __init__(self, in_features: int, device: Any, drift: bool = False) -> None:
        import torch

        shape = (in_features, in_features)
        self.sum = torch.zeros(shape, dtype=torch.float32, device=device)
        self.drift = torch.zeros(shape, dtype=torch.float32, device=device) if drift else None
        self.tokens = 0
        self.weight = 0.0

    def add(self, inputs: Any, unquantized: Any = None, weights: Weighted | None = None) -> None:
        """Add `inputs`, [..., in_features] of any floating dtype.

        `unquantized` holds the inputs x̃ in the same shape. `weights` holds the weight of each token.
        """
        rows = inputs.detach().reshape(-1, self.sum.shape[0])
        twins = None if self.drift is None else unquantized.detach().reshape(rows.shape)
        if weights is None:
            self._add(rows, twins, 1.0)
            return
        for weight, tokens in weights.parts:
            self._add(rows[tokens], None if twins is None else twins[tokens], weight)

    def _add(self, rows: Any, twins: Any, weight: float) -> None:
        """Add `rows` [tokens, in_features], which all have the same weight."""
        _add_products(self.sum, rows, rows, weight)
        if self.drift is not None:  # the sum of x̃ xᵀ; `drifts` subtracts the sum of x xᵀ
            _add_products(self.drift, twins, rows, weight)
        self.tokens += len(rows)
        self.weight += weight * len(rows)

    def add_share(self, other: Hessian) -> None:
        """Add the tokens of `other`, which may be on another device."""
        self.sum += other.sum.to(self.sum.device)
        if self.drift is not None and other.drift is not None:
            self.drift += other.drift.to(self.drift.device)
        self.tokens += other.tokens
        self.weight += other.weight

    def mean(self) -> Any:
        """The Hessian H, [in_features, in_features].

        Raises UnsolvableHessian if nothing was added or an input was not finite.
        """
        return means([self])[0]


def summed(shares: Sequence[dict[str, Hessian]]) -> dict[str, Hessian]:
    """Sum the Hessians of the same name, in the order of `shares`. The sums are on the device of the first share.

    The other shares are emptied, so that only one of their Hessians at a time takes memory on the first device.
    """
    first, *others = shares
    for share in others:
        for name, hessian in first.items():
            hessian.add_share(share.pop(name))
    return first


def means(hessians: Sequence[Hessian]) -> Any:
    """The Hessians H, [len(hessians), in_features, in_features].

    Raises UnsolvableHessian if a Hessian got no token, or if an input was not finite.
    """
    for index, hessian in enumerate(hessians):
        if not hessian.tokens:
            raise UnsolvableHessian("no calibration token reached it", index)
    averages = _averages([hessian.sum for hessian in hessians], hessians)
    finite = averages.diagonal(dim1=-2, dim2=-1).isfinite().all(-1).tolist()
    if not all(finite):
        raise UnsolvableHessian("its inputs are not finite", finite.index(False))
    return averages


def drifts(hessians: Sequence[Hessian]) -> Any:
    """The matrices C, [len(hessians), in_features, in_features]. Returns None if C was not accumulated."""
    sums = [None if hessian.drift is None else hessian.drift - hessian.sum for hessian in hessians]
    return None if sums[0] is None else _averages(sums, hessians)


def _add_products(total: Any, left: Any, right: Any, weight: float) -> None:
    """Add weight · leftᵀ right to `total` [in, in]. `left` and `right` are [tokens, in], and of one dtype.

    The products are summed in float32. On CUDA, bfloat16 and float16 are multiplied as they are: a product of two
    such numbers is exact in float32, and the GPU computes it faster than a product of two float32 numbers.
    """
    import torch

    if left.dtype in (torch.bfloat16, torch.float16) and _multiplies_half(left.device):
        torch.addmm(total, left.t(), right, out_dtype=torch.float32, alpha=weight, out=total)
    else:
        total.addmm_(left.float().t(), right.float(), alpha=weight)


@cache
def _multiplies_half(device: Any) -> bool:
    """True if torch can multiply 16-bit numbers on this device and sum the products in float32."""
    import torch

    if device.type != "cuda":
        return False
    try:
        ones = torch.ones(16, 16, dtype=torch.bfloat16, device=device)
        torch.addmm(ones.float(), ones, ones, out_dtype=torch.float32)
    except (RuntimeError, NotImplementedError, TypeError):
        return False
    return True


def _averages(sums: Sequence[Any], hessians: Sequence[Hessian]) -> Any:
    import torch

    shares = torch.tensor([2.0 / hessian.weight for hessian in hessians], device=sums[0].device)
    return torch.stack(list(sums)).mul_(shares[:, None, None])


@dataclass(frozen=True)
class Factor:
    """The Cholesky factor U of inverse Hessians: Uᵀ U = H⁻¹.

    The rows and columns of `upper` are in solving order. Position p in this order belongs to column `order[p]` of W.
    In the shapes, `...` stands for the batch dimension of matrices that are solved together, or for no dimension.
    """

    upper: Any  # U, [..., in, in] float32
    order: Any  # [..., in] int64
    dead: Any  # [..., in] bool, true for each column of W whose input is always zero
    damp: Any  # [...] on the CPU; damp · mean(|diag H|) was added to the diagonal of H

    # P [..., in, in] in solving order, for GPTAQ. The values of a column times these factors are added to later
    # columns. For methods other than GPTAQ, this is None.
    drift: Any = None


def factorize(mean: Any, damp: float, by_activation: bool, group: int = 0) -> Factor:
    """Compute the Cholesky factor U of the inverse of each Hessian in `mean`, [..., in, in].

    SpQR (Dettmers et al. 2023) and GPTQ (Frantar et al. 2022) begin with this step. With `by_activation`,
    columns are sorted by the diagonal of H. The largest value comes first, and dead columns come last. Without
    `by_activation`, the columns keep their order. If `group` is not 0, groups of `group` neighbouring columns stay
    together. Then the groups are sorted by their largest diagonal element, and the columns are sorted within each
    group (group-aware reordering, Gafni et al. 2025, arXiv:2505.14638).

    A column is dead if its input is always zero. The H_ii of a dead column is set to 1. Then damp * mean(|diag H|) is
    added to the diagonal of H, and U is the upper Cholesky factor of H⁻¹. If the factorization fails, the function
    tries more damping. Raises UnsolvableHessian if no damping helps.
    """
    import torch

    diagonal = mean.diagonal(dim1=-2, dim2=-1)
    dead = diagonal == 0
    order = torch.arange(mean.shape[-1], device=mean.device).expand(diagonal.shape)
    if by_activation:
        order = (
            _by_groups(diagonal, group) if group else torch.argsort(diagonal, dim=-1, descending=True, stable=True)
        )
    diagonal = diagonal.masked_fill(dead, 1.0)
    level = diagonal.abs().mean(-1)
    count = mean.shape[-1]
    flat, orders = mean.reshape(-1, count, count), order.reshape(-1, count)
    diagonals, levels = diagonal.reshape(-1, count), level.reshape(-1)
    upper = torch.empty_like(flat)
    used = torch.full((len(flat),), damp)
    # The matrices are factorized one by one. LAPACK has no function for a batch, and cuSOLVER's function for a batch
    # is meant for small matrices.
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


def _by_groups(diagonal: Any, group: int) -> Any:
    """The order [..., in] that group-aware reordering gives the columns. `group` divides the number of columns."""
    import torch

    values, local = diagonal.unflatten(-1, (-1, group)).sort(dim=-1, descending=True, stable=True)
    first = values[..., 0].argsort(dim=-1, descending=True, stable=True)
    whole = local + group * torch.arange(local.shape[-2], device=local.device)[:, None]
    return whole.gather(-2, first[..., None].expand_as(whole)).flatten(-2)


def with_drift(factor: Factor, drift: Any, alpha: float) -> Factor:
    """Add P = alpha · triu(C Uᵀ, 1) U to a factor. `drift` is C, with the columns in their original order.

    When column i is quantized, the columns j > i change by w_i P_ij. The change w_i P_ij is the least-squares
    solution for the part w_i (x̃_i - x_i) of the output error (GPTAQ, Li et al. 2025, arXiv:2504.02692).
    """
    order = factor.order
    rows = drift.gather(-2, order[..., :, None].expand_as(drift))
    ordered = rows.gather(-1, order[..., None, :].expand_as(drift))
    return replace(factor, drift=alpha * ((ordered @ factor.upper.mT).triu_(1) @ factor.upper))


def _factor(mean: Any, diagonal: Any, order: Any, added: Any, out: Any) -> Any:
    """Write U into `out`. Returns a boolean tensor on the device, which is true if the factorization failed.

    Let J be the matrix that reverses the order of rows. If J H J = L Lᵀ, then H⁻¹ = (J L⁻¹ J)ᵀ (J L⁻¹ J), and J L⁻¹ J
    is upper triangular. This computation needs one Cholesky factorization. An inversion of H would need a second
    factorization.
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
    """A factor with which the solver only rounds the weights, without any corrections.

    The factor is used for modules that got too few tokens.
    """
    import torch

    return Factor(
        torch.eye(in_features, device=device).expand(*batch, -1, -1),
        torch.arange(in_features, device=device).expand(*batch, -1),
        torch.zeros((*batch, in_features), dtype=torch.bool, device=device),
        torch.zeros(batch),
    )
