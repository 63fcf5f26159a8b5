"""INT8 weights by GPTQ, INT8 activations a token, and compressed-tensors' words for both."""

from __future__ import annotations

import pytest
import torch

from faq_tui.core.quantizing.methods.w8a8.matrix import quantize_matrix
from faq_tui.core.quantizing.sequential.hessian import Hessian, factorize, identity_factor


def nothing() -> None:
    """No stop is asked for."""


def test_codes_and_scales_are_the_weights_to_half_a_step() -> None:
    weight = torch.randn(12, 40, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    codes, scale, _ = quantize_matrix(weight, identity_factor(40, "cpu"), nothing)
    assert codes.dtype == torch.int8 and scale.dtype == torch.bfloat16 and scale.shape == (12, 1)
    step = scale.float()
    # The scale is rounded to bfloat16: the largest weight of a row may lie a step of that beyond 127.
    assert ((codes.float() * step - weight.float()).abs() <= 0.51 * step + weight.float().abs() / 256).all()
    assert codes.abs().max() == 127


def test_gptq_loses_less_than_rounding() -> None:
    dice = torch.Generator().manual_seed(1)
    mix = torch.randn(64, 64, generator=dice) / 8 + torch.eye(64)
    inputs = torch.randn(500, 64, generator=dice) @ mix
    weight = torch.randn(32, 64, generator=dice)
    hessian = Hessian(64, "cpu")
    hessian.add(inputs)
    errors = []
    for factor in (identity_factor(64, "cpu"), factorize(hessian.mean(), 0.01, by_activation=True)):
        codes, scale, loss = quantize_matrix(weight, factor, nothing)
        errors.append(float(((weight - codes.float() * scale) @ inputs.t()).square().sum()) / len(inputs))
    assert errors[1] < 0.8 * errors[0]
    assert loss == pytest.approx(errors[1], rel=0.05)


@pytest.mark.parametrize("largest", [0.003, 0.0005, 1e-6])
def test_a_row_of_small_weights_uses_all_codes(largest: float) -> None:
    weight = (torch.randn(2, 64, generator=torch.Generator().manual_seed(2)) * largest).bfloat16()
    codes, scale, _ = quantize_matrix(weight, identity_factor(64, "cpu"), nothing)
    assert codes.abs().amax(-1).min() >= 126
    assert (codes.float() * scale.float() - weight.float()).norm() < 0.01 * weight.float().norm()


def test_an_empty_row_stays_empty() -> None:
    weight = torch.ones(3, 8)
    weight[1] = 0
    codes, scale, _ = quantize_matrix(weight, identity_factor(8, "cpu"), nothing)
    assert torch.allclose(codes.float() * scale, weight, rtol=1e-3) and torch.isfinite(scale).all()
