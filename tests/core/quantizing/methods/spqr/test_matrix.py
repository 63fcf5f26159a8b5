"""SpQR's parts against their formulas: leave-one-out, the walk, the second level, the sidecar, the bits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from faq_tui.core.quantizing.methods.spqr.matrix import Knobs, Quantized, quantize_matrix
from faq_tui.core.quantizing.sequential.hessian import factorize, identity_factor
from tests.support.spqr_layers import hessian_of, layer, nothing


def error(weight: Any, made: Quantized, inputs: Any) -> float:
    return float(((weight - made.weight) @ inputs.t()).square().sum() / (weight @ inputs.t()).square().sum())


def plain_gptq(weight: Any, hessian: Any, bits: int, group: int, damp: float) -> Any:
    """Asymmetric GPTQ as Frantar et al. write it before the Cholesky form: H⁻¹ loses a row a step, in float64."""
    work, found = weight.double().clone(), torch.empty_like(weight, dtype=torch.float64)
    damped = hessian.double() + damp * hessian.diagonal().abs().mean().double() * torch.eye(len(hessian))
    inverse = torch.linalg.inv(damped)
    for column in range(weight.shape[1]):
        if column % group == 0:
            part = work[:, column : column + group]
            low, high = part.amin(1), part.amax(1)
            scale = ((high - low) / (2**bits - 1)).half().double()
            zero = (-low / ((high - low) / (2**bits - 1))).half().double()  # not rounded to an integer
        codes = (work[:, column] / scale + zero).round().clamp(0, 2**bits - 1)
        found[:, column] = scale * (codes - zero)
        step = (work[:, column] - found[:, column]) / inverse[column, column]
        work[:, column:] -= step[:, None] * inverse[column, column:][None]
        inverse = inverse - torch.outer(inverse[:, column], inverse[column]) / inverse[column, column]
    return found.float()


@pytest.mark.parametrize(("group", "columns"), [(32, 96), (16, 200), (256, 300)])
def test_without_outliers_and_order_it_is_asymmetric_gptq(group: int, columns: int) -> None:
    weight, inputs = layer(columns=columns, tokens=900)
    hessian = hessian_of(inputs)
    knobs = Knobs(4, group, math.inf, None)
    made = quantize_matrix(weight, factorize(hessian, 0.01, by_activation=False), knobs, nothing)
    expected = plain_gptq(weight, hessian, 4, group, 0.01)
    same = (made.weight - expected).abs() < 1e-4 * expected.abs().clamp(min=1e-3)
    # A weight midway between two codes may fall to either side in float32, and takes its row's rest along.
    assert float(same.float().mean()) > 0.97
    assert error(weight, made, inputs) == pytest.approx(
        float(((weight - expected) @ inputs.t()).square().sum() / (weight @ inputs.t()).square().sum()), rel=0.02
    )
    assert not made.outliers.any()


def test_error_falls_from_rounding_to_gptq_to_spqr() -> None:
    for seed in range(3):
        weight, inputs = layer(seed)
        hessian = hessian_of(inputs)
        plain = Knobs(4, 32, math.inf, None)
        rtn = quantize_matrix(weight, identity_factor(96, "cpu"), plain, nothing)
        gptq = quantize_matrix(weight, factorize(hessian, 0.01, by_activation=False), plain, nothing)
        spqr = quantize_matrix(weight, factorize(hessian, 0.01, by_activation=True), Knobs(4, 32), nothing)
        errors = [error(weight, made, inputs) for made in (rtn, gptq, spqr)]
        assert errors[0] > 1.5 * errors[1] > 1.5 * 1.5 * errors[2], errors
        assert 0 < float(spqr.outliers.float().mean()) < 0.1


def test_a_smaller_threshold_makes_more_outliers() -> None:
    weight, inputs = layer()
    factor = factorize(hessian_of(inputs), 0.01, by_activation=True)
    counts = [
        int(quantize_matrix(weight, factor, Knobs(4, 32, tau), nothing).outliers.sum()) for tau in (0.05, 0.2, 1.0)
    ]
    assert counts[0] > counts[1] > counts[2]


def test_the_loss_is_the_output_error_a_token() -> None:
    weight, inputs = layer(columns=64)
    made = quantize_matrix(weight, factorize(hessian_of(inputs), 1e-6, by_activation=True), Knobs(4, 32), nothing)
    measured = float(((weight - made.weight) @ inputs.t()).square().sum()) / len(inputs)
    assert made.loss == pytest.approx(measured, rel=0.01)


# --- Hessians ---


def test_a_stop_comes_through_within_a_block() -> None:
    class Stop(Exception):
        pass

    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Stop

    weight, inputs = layer(columns=300, tokens=600)
    with pytest.raises(Stop):
        quantize_matrix(weight, factorize(hessian_of(inputs), 0.01, by_activation=True), Knobs(4, 32), check)
