"""INT8 weights by GPTQ, INT8 activations a token, and compressed-tensors' words for both."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.methods.w8a8.format import rounded_per_token, simulate_int8_activations
from faq_tui.core.quantizing.methods.w8a8.matrix import quantize_matrix
from faq_tui.core.quantizing.methods.w8a8.method import quantization_config
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


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_each_token_keeps_to_its_own_255_levels(seed: int, tokens: int, features: int) -> None:
    inputs = torch.randn(tokens, features, generator=torch.Generator().manual_seed(seed))
    inputs *= torch.tensor([10.0**n for n in range(tokens)])[:, None]
    before = inputs.clone()
    found = rounded_per_token(inputs)
    assert torch.equal(inputs, before)  # it is the residual stream's too
    scale = inputs.abs().amax(1, keepdim=True) / 127
    assert ((found - inputs).abs() <= scale * 0.5001).all()
    levels = found / scale
    assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_tokens_round_as_vllms_kernel_does() -> None:
    """Its arithmetic, number by number in float32: 127 over the largest, then to the nearest, ties to even."""
    import numpy as np

    rows = [[0.0, 0.0, 0.0], [127.0, 0.5, 1.5], [-127.0, 2.5, -0.5], [1e-30, -1e-30, 3e-31], [2.54, 0.03, -0.01]]
    found = rounded_per_token(torch.tensor(rows)).numpy()
    for row, ours in zip(rows, found, strict=True):
        most = np.float32(max(map(abs, row)))
        inverse = np.float32(0) if most == 0 else np.float32(127) / most
        codes = np.rint(np.asarray(row, np.float32) * inverse)
        np.testing.assert_array_equal(ours, codes * (most / np.float32(127)))
    assert found[1].tolist() == [127.0, 0.0, 2.0] and found[2].tolist() == [-127.0, 2.0, 0.0]


def test_only_named_linears_are_simulated() -> None:
    from torch import nn

    model = nn.Sequential()
    model.add_module("body", nn.Linear(4, 4, bias=False))
    model.add_module("lm_head", nn.Linear(4, 4, bias=False))
    nn.init.eye_(model.get_submodule("body").weight)
    nn.init.eye_(model.get_submodule("lm_head").weight)
    inputs = torch.tensor([[1.0, 0.501, 0.2, 0.1]])
    simulate_int8_activations(model, quantization_config(["lm_head"]))
    assert torch.allclose(model(inputs), rounded_per_token(inputs))
    assert not torch.equal(model(inputs), inputs)


def test_the_config_is_read_by_the_library_as_w8a8() -> None:
    library: Any = importlib.import_module("compressed_tensors.quantization")
    body = quantization_config(["lm_head", "model.layers.0.mlp.gate"])
    read = library.QuantizationConfig.model_validate(body)
    group = read.config_groups["group_0"]
    assert (read.format, read.quantization_status.value) == ("int-quantized", "compressed")
    assert (group.weights.num_bits, group.weights.strategy, group.weights.symmetric) == (8, "channel", True)
    assert (group.input_activations.strategy, group.input_activations.dynamic) == ("token", True)
    assert read.ignore == ["lm_head", "model.layers.0.mlp.gate"]


@pytest.mark.parametrize("change", [{"dynamic": False}, {"num_bits": 4}, {"strategy": "tensor"}])
def test_other_schemes_are_not_taken_for_this_one(change: dict[str, Any]) -> None:
    body = quantization_config([])
    body["config_groups"]["group_0"]["input_activations"].update(change)
    with pytest.raises(FaqError, match="faq-tui cannot evaluate this folder"):
        simulate_int8_activations(torch.nn.Linear(2, 2), body)
