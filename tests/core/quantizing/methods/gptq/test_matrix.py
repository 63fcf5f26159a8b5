"""GPTQ and GPTAQ of whole matrices, compared with the formulas in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.quantizing.methods.gptq.matrix import GridChoice, Packable, fit, quantize_matrix, quantize_stack
from faq_tui.core.quantizing.sequential.hessian import (
    Factor,
    Hessian,
    drifts,
    factorize,
    identity_factor,
    means,
    with_drift,
)

OUT, COLUMNS, GROUP, TOKENS = 24, 96, 32, 400
DAMP = 0.05


def nothing() -> None:
    pass


def inputs_of(seed: int, tokens: int = TOKENS, columns: int = COLUMNS) -> Any:
    """Inputs [tokens, columns] with correlated columns of very different size."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(tokens, columns, generator=generator) @ torch.randn(columns, columns, generator=generator)
    return mixed * torch.rand(columns, generator=generator).add(0.1)


def weight_of(seed: int) -> Any:
    return torch.randn(OUT, COLUMNS, generator=torch.Generator().manual_seed(seed + 1000))


def hessian_of(inputs: Any, unquantized: Any = None) -> Hessian:
    hessian = Hessian(inputs.shape[-1], "cpu", unquantized is not None)
    for part, other in zip(
        inputs.split(100), (inputs if unquantized is None else unquantized).split(100), strict=True
    ):
        hessian.add(part, other)
    return hessian


def factor_of(hessian: Hessian, group: int, alpha: float | None = None) -> Factor:
    factor = factorize(means([hessian])[0], DAMP, True, group)
    return factor if alpha is None else with_drift(factor, drifts([hessian])[0], alpha)


def rounded(column: Any, scale: Any, zero: Any, most: int) -> Any:
    return ((column / scale).round() + zero).clamp(0, most).sub(zero) * scale


def reference(
    weight: Any, inputs: Any, grid: GridChoice, order: Any, unquantized: Any = None, alpha: float = 0.0
) -> tuple[Any, float]:
    """ŵ [out, in] and the loss in float64, column by column, with the inverse of each remaining Hessian.

    Column i is rounded to q. The later columns F change by -(w - q) [H⁻¹]_iF / [H⁻¹]_ii, where H is of columns i and
    F (GPTQ), and by alpha w C_iF H_FF⁻¹ (GPTAQ), where C is 2/n Σ (x̃ - x) xᵀ.
    """
    x = inputs.double()[:, order]
    h = 2 / len(x) * x.t() @ x
    h += DAMP * h.diagonal().mean() * torch.eye(len(h), dtype=torch.float64)
    drift = torch.zeros_like(h)
    if unquantized is not None:
        drift = 2 / len(x) * (unquantized.double()[:, order] - x).t() @ x
    w = weight.double()[:, order].clone()
    result, loss = torch.empty_like(w), 0.0
    size = len(h) if grid.group_size == -1 else grid.group_size
    for i in range(len(h)):
        if i % size == 0:
            scale, zero = (part.double() for part in fit(w[:, i : i + size].t().float(), grid))
        inverse = torch.linalg.inv(h[i:, i:])
        column = w[:, i].clone()
        result[:, i] = rounded(column, scale, zero, grid.most)
        error = column - result[:, i]
        loss += float((error**2 / inverse[0, 0]).sum() / 2)
        w[:, i + 1 :] -= error[:, None] * (inverse[0, 1:] / inverse[0, 0])
        if i + 1 < len(h):
            push = alpha * drift[i, i + 1 :] @ torch.linalg.inv(h[i + 1 :, i + 1 :])
            w[:, i + 1 :] += column[:, None] * push
    back = torch.empty_like(result)
    back[:, order] = result
    return back, loss


def same(made: Packable, dense: Any, loss: float) -> None:
    """The results agree. In float32, a weight in the middle between two codes may get the other one."""
    far = (made.dense().double() - dense).abs() > 1e-4 * dense.abs().max()
    assert float(far.double().mean()) <= 0.002
    assert float(made.loss) == pytest.approx(loss, rel=1e-3 if far.any() else 1e-4)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("group", "scattered"), [(GROUP, False), (GROUP, True), (-1, False)])
def test_gptq_is_its_formula(bits: int, symmetric: bool, group: int, scattered: bool) -> None:
    grid = GridChoice(bits, group, symmetric, scattered=scattered)
    inputs, weight = inputs_of(1), weight_of(1)
    factor = factor_of(hessian_of(inputs), 0 if scattered or group == -1 else group)
    same(quantize_matrix(weight, factor, grid, nothing), *reference(weight, inputs, grid, factor.order))


@pytest.mark.parametrize("alpha", [0.25, 1.0])
@pytest.mark.parametrize("group", [GROUP, -1])
def test_gptaq_is_its_formula(alpha: float, group: int) -> None:
    grid = GridChoice(4, group)
    inputs, weight = inputs_of(2), weight_of(2)
    unquantized = inputs + 0.2 * inputs_of(3)
    hessian = hessian_of(inputs, unquantized)
    factor = factor_of(hessian, max(group, 0), alpha)
    made = quantize_matrix(weight, factor, grid, nothing)
    same(made, *reference(weight, inputs, grid, factor.order, unquantized, alpha))
    plain = quantize_matrix(weight, factor_of(hessian, max(group, 0)), grid, nothing)
    assert error(made, weight, inputs, unquantized) < error(plain, weight, inputs, unquantized)


def error(made: Packable, weight: Any, inputs: Any, unquantized: Any) -> float:
    """The error that GPTAQ minimizes: the outputs on `inputs` against the weight's outputs on `unquantized`."""
    return float((inputs @ made.dense().t() - unquantized @ weight.t()).square().mean())


def test_gptaq_with_equal_inputs_is_gptq() -> None:
    inputs, weight, grid = inputs_of(4), weight_of(4), GridChoice(4, GROUP)
    hessian = hessian_of(inputs, inputs)
    made = quantize_matrix(weight, factor_of(hessian, GROUP, 1.0), grid, nothing)
    assert torch.equal(made.codes, quantize_matrix(weight, factor_of(hessian, GROUP), grid, nothing).codes)


@pytest.mark.parametrize("scattered", [True, False])
def test_every_column_has_the_scale_of_its_group(scattered: bool) -> None:
    inputs, weight = inputs_of(5), weight_of(5)
    factor = factor_of(hessian_of(inputs), 0 if scattered else GROUP)
    made = quantize_matrix(weight, factor, GridChoice(4, GROUP, scattered=scattered), nothing)
    assert made.groups.bincount().tolist() == [GROUP] * (COLUMNS // GROUP)
    assert (made.groups.tolist() == sorted(made.groups.tolist())) is not scattered
    assert made.scales.shape == made.zeros.shape == (COLUMNS // GROUP, OUT) and made.scales.dtype == torch.float16
    # Few columns are far from their weights: a scale of another group would be.
    assert float((made.dense() - weight).abs().mean()) < 0.3


def test_matrices_with_one_hessian_are_solved_together_as_alone() -> None:
    weights = [torch.stack([weight_of(n), weight_of(n + 10)]) for n in (6, 7)]
    hessians = [hessian_of(inputs_of(n)) for n in (6, 7)]
    grid = GridChoice(4, GROUP)
    together = quantize_stack(weights, factorize(means(hessians), DAMP, True, GROUP), grid, nothing)
    for batch, hessian in enumerate(hessians):
        for weight, made in zip(weights, together, strict=True):
            alone = quantize_matrix(weight[batch], factor_of(hessian, GROUP), grid, nothing)
            assert torch.equal(alone.codes, made.one(batch).codes) and torch.equal(
                alone.scales, made.one(batch).scales
            )


def test_without_calibration_it_rounds_to_nearest() -> None:
    weight, grid = weight_of(8), GridChoice(8, GROUP)
    made = quantize_matrix(weight, identity_factor(COLUMNS, "cpu"), grid, nothing)
    for group in range(COLUMNS // GROUP):
        part = slice(group * GROUP, (group + 1) * GROUP)
        scale, zero = fit(weight[:, part].t(), grid)
        expected = rounded(weight[:, part].t(), scale, zero, grid.most).t()
        assert torch.allclose(made.dense()[:, part], expected, atol=1e-6)


def test_a_column_without_inputs_is_zero() -> None:
    inputs = inputs_of(9)
    inputs[:, 7] = 0.0
    made = quantize_matrix(weight_of(9), factor_of(hessian_of(inputs), GROUP), GridChoice(4, GROUP), nothing)
    assert bool((made.dense()[:, 7] == 0).all())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40),
    st.sampled_from([2, 3, 4, 8]),
    st.booleans(),
    st.booleans(),
)
def test_a_grid_covers_its_weights(values: list[float], bits: int, symmetric: bool, search: bool) -> None:
    weights, grid = torch.tensor(values)[:, None], GridChoice(bits, -1, symmetric, search)
    scale, zero = fit(weights, grid)
    assert bool(scale.isfinite().all()) and bool((scale > 0).all())
    assert bool((zero == zero.round()).all()) and 0 <= float(zero) <= grid.most
    if not search:  # the largest positive weight of a symmetric grid loses half a step
        loss = (rounded(weights, scale, zero, grid.most) - weights).abs().max()
        assert float(loss) <= 1.01 * float(scale) + 1e-6


def test_a_searched_scale_rounds_no_worse() -> None:
    weights = weight_of(10).t() ** 3
    errors = []
    for search in (False, True):
        scale, zero = fit(weights, GridChoice(3, -1, search=search))
        errors.append((rounded(weights, scale, zero, 7) - weights).abs().pow(2.4).sum(0))
    assert bool((errors[1] <= errors[0] * (1 + 1e-5)).all()) and bool((errors[1] < 0.9 * errors[0]).any())
