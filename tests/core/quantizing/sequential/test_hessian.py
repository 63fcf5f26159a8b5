"""Hessians and their factors, also where inputs lack."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.methods.spqr.matrix import Knobs, quantize_matrix
from faq_tui.core.quantizing.sequential.hessian import Factor, Hessian, drifts, factorize, means, summed
from faq_tui.core.quantizing.sequential.weights import Weighted
from tests.support.spqr_layers import hessian_of, layer, nothing


def test_the_hessian_is_the_mean_of_twice_the_outer_products() -> None:
    _, inputs = layer(columns=16, tokens=130)
    expected = torch.stack([2 * torch.outer(x, x) for x in inputs.double()]).mean(0)
    assert torch.allclose(hessian_of(inputs).double(), expected, rtol=1e-4, atol=1e-4)


def test_columns_that_no_input_reaches_become_zero() -> None:
    weight, inputs = layer(columns=32)
    inputs[:, [3, 17]] = 0
    factor = factorize(hessian_of(inputs), 0.01, by_activation=True)
    made = quantize_matrix(weight, factor, Knobs(4, 32), nothing)
    assert factor.dead.nonzero().flatten().tolist() == [3, 17]
    quiet = factorize(hessian_of(inputs / 1000), 0.01, by_activation=True)
    assert sorted(quiet.order[-2:].tolist()) == [3, 17], "they come last, however small the inputs are"
    # Zero, up to the grid of the group in which they stand.
    assert float(made.weight[:, [3, 17]].abs().max()) < float(weight.abs().max()) / 8


def test_fewer_tokens_than_columns_still_give_a_factor() -> None:
    _, inputs = layer(columns=64, tokens=5)
    factor: Factor = factorize(hessian_of(inputs), 0.01, by_activation=True)
    assert torch.isfinite(factor.upper).all() and factor.damp >= 0.01


def test_what_no_hessian_can_be_made_of() -> None:
    with pytest.raises(FaqError, match="no calibration token"):
        Hessian(4, "cpu").mean()
    broken = Hessian(4, "cpu")
    broken.add(torch.tensor([[1.0, float("nan"), 0, 0]]))
    with pytest.raises(FaqError, match="not finite"):
        broken.mean()
    with pytest.raises(FaqError, match="not positive definite"):
        factorize(torch.tensor([[1.0, 0.0], [0.0, -1e9]]), 1e-6, by_activation=False)


@given(
    owner=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_sums_over_shares_are_the_mean_over_all_tokens(owner: list[int], weighted: bool, seed: int) -> None:
    """`owner` has the share of each token. Reference: float64."""
    dice = torch.Generator().manual_seed(seed)
    inputs, twins = (torch.randn(len(owner), 6, generator=dice) for _ in range(2))
    values, classes = (0.5, 3.0), torch.randint(0, 2, (len(owner),), generator=dice)
    shares = [{"up": Hessian(6, "cpu", drift=True), "down": Hessian(6, "cpu", drift=True)} for _ in range(4)]
    for number, share in enumerate(shares):
        mine = torch.tensor([one == number for one in owner])
        weights = Weighted(classes[mine], values) if weighted else None
        share["up"].add(inputs[mine], twins[mine], weights)
        share["down"].add(inputs[mine] + 1, twins[mine], weights)
    total = summed(shares)
    each = torch.tensor(values)[classes].double() if weighted else torch.ones(len(owner)).double()
    for name, shift in (("up", 0), ("down", 1)):
        x, twin = inputs.double() + shift, twins.double()
        hessian = 2 * (each[:, None] * x).t() @ x / each.sum()
        drift = 2 * (each[:, None] * (twin - x)).t() @ x / each.sum()
        assert torch.allclose(means([total[name]])[0].double(), hessian, rtol=1e-4, atol=1e-4)
        assert torch.allclose(drifts([total[name]])[0].double(), drift, rtol=1e-4, atol=1e-4)
        assert total[name].tokens == len(owner) and abs(total[name].weight - float(each.sum())) < 1e-6
