"""SpQR's parts against their formulas: leave-one-out, the walk, the second level, the sidecar, the bits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.methods.spqr.grid import Grid, fit_group, likely_outliers, second_level, without
from faq_tui.core.quantizing.methods.spqr.matrix import Knobs, Quantized, quantize_matrix
from faq_tui.core.quantizing.methods.spqr.sidecar import count_bits, from_tensors, pack, to_tensors, unpack
from faq_tui.core.quantizing.sequential.hessian import Factor, Hessian, factorize, identity_factor

SEEDS = st.integers(0, 2**31)


def nothing() -> None:
    """No stop is asked for."""


def layer(seed: int = 0, out: int = 48, columns: int = 96, tokens: int = 400, loud: int = 4) -> tuple[Any, Any]:
    """A weight matrix with heavy tails, and inputs of which some channels are loud and many hang together."""
    dice = torch.Generator().manual_seed(seed)
    weight = torch.randn(out, columns, generator=dice) * 0.02
    rare = torch.rand(out, columns, generator=dice) < 0.01
    weight[rare] *= 8
    mix = torch.randn(columns, columns, generator=dice) / math.sqrt(columns) + torch.eye(columns)
    inputs = torch.randn(tokens, columns, generator=dice) @ mix
    inputs[:, torch.randperm(columns, generator=dice)[:loud]] *= 20
    return weight, inputs


def hessian_of(inputs: Any) -> Any:
    found = Hessian(inputs.shape[1], "cpu")
    for part in inputs.split(64):
        found.add(part)
    return found.mean()


def error(weight: Any, made: Quantized, inputs: Any) -> float:
    return float(((weight - made.weight) @ inputs.t()).square().sum() / (weight @ inputs.t()).square().sum())


@given(SEEDS, st.integers(1, 40), st.integers(1, 12), st.sampled_from([2, 3, 4]), st.floats(0.0, 2.0))
@settings(max_examples=60, deadline=None)
def test_leaving_one_out_fast_is_leaving_it_out(seed: int, group: int, rows: int, bits: int, level: float) -> None:
    dice = torch.Generator().manual_seed(seed)
    weights = torch.randn(group, rows, generator=dice)
    weights[torch.rand(group, rows, generator=dice) < 0.1] *= 10
    diagonal = torch.rand(group, generator=dice) + 0.2

    def total(chosen: Any, scales: Any) -> Any:
        return ((fit_group(chosen, bits).rounded(chosen) - chosen) / scales[:, None]).square().sum(0)

    whole = total(weights, diagonal)
    for index in range(group):
        rest = [other for other in range(group) if other != index]
        left = total(weights[rest], diagonal[rest]) if rest else torch.zeros(rows)
        gain = whole - left if rest else whole
        found = likely_outliers(weights, diagonal, bits, level)[index]
        sure = (gain - level).abs() > 1e-4 * (1 + whole)
        assert torch.equal(found[sure], (gain > level)[sure])


def test_likely_outliers_are_replaced_by_the_mean_of_the_others() -> None:
    weights = torch.tensor([[1.0, 5.0], [2.0, 6.0], [90.0, 7.0]])
    outliers = torch.tensor([[False, True], [False, True], [True, True]])
    assert without(weights, outliers).tolist() == [[1.0, 5.0], [2.0, 6.0], [1.5, 7.0]]  # all of a row: it stays


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


@given(SEEDS, st.integers(1, 70), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_the_second_level_is_within_half_a_step(seed: int, count: int, group: int) -> None:
    values = torch.rand(count, generator=torch.Generator().manual_seed(seed)) * 0.05 + 1e-3
    level = second_level(values, 3, group)
    for start in range(0, count, group):
        run = values[start : start + group]
        step = float(run.max() - run.min()) / 7
        off = (level.decode(count)[start : start + group] - run).abs().max()
        assert float(off) <= step / 2 + 2e-3 * float(run.max())


def test_weights_that_hardly_differ_keep_their_value() -> None:
    for value in (0.0, 3.0, -1e-5):
        weights = torch.full((16, 4), value)
        grid = fit_group(weights, 4)
        assert torch.isfinite(grid.zero.half()).all()
        assert torch.allclose(grid.rounded(weights), weights, atol=abs(value) / 2000 + 1e-7)


@given(st.integers(1, 8), st.lists(st.integers(0, 255), max_size=60))
def test_codes_come_back_from_their_bits(bits: int, values: list[int]) -> None:
    codes = torch.tensor([value % 2**bits for value in values], dtype=torch.uint8)
    packed = pack(codes, bits)
    assert len(packed) == -(-len(values) * bits // 8)
    assert unpack(packed, bits, len(values)).tolist() == codes.tolist()


@pytest.mark.parametrize(
    "knobs", [Knobs(4, 32), Knobs(3, 64, 0.2, None), Knobs(4, -1, math.inf), Knobs(8, 32, 0.01, 2, 7)]
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_sidecar_holds_the_exported_matrix(knobs: Knobs, dtype: Any) -> None:
    weight, inputs = layer(out=50, columns=80)  # no multiple of the groups
    weight = weight.to(dtype)
    factor = factorize(hessian_of(inputs), 0.01, by_activation=True)
    made = quantize_matrix(weight, factor, knobs, nothing)
    exported = made.weight.to(dtype)
    tensors = to_tensors("x", made, factor.order, knobs, exported)
    assert torch.equal(from_tensors("x", tensors, knobs, dtype), exported)
    bits = count_bits(50, 80, knobs, int(made.outliers.sum()), ordered=True)
    assert len(tensors["x.codes"]) * 8 == bits.codes
    assert 32 * len(tensors["x.values"]) == bits.outliers


def test_average_bits_are_the_papers_formula() -> None:
    out, columns, outliers = 4096, 4096, 167_772  # one in a hundred
    share = outliers / (out * columns)
    found = count_bits(out, columns, Knobs(4, 128), outliers, ordered=False)
    formula = 4 + (3 + 3) / 128 + 64 / (128 * 16) + 32 * share
    assert (found.codes + found.scales + found.outliers) / found.weights == pytest.approx(formula, rel=1e-12)
    assert found.average == pytest.approx(formula + 32 * (out + 1) / (out * columns), rel=1e-12)
    ordered = count_bits(out, columns, Knobs(4, 128), outliers, ordered=True)
    assert ordered.average - found.average == pytest.approx(16 / out, rel=1e-9)
    assert count_bits(16, 128, Knobs(4, 128, scale_bits=None), 0, ordered=False).average == 4 + 32 / 128


# --- Hessians ---


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


def test_grids_round_to_the_nearest_code() -> None:
    grid = Grid(torch.tensor([0.5]), torch.tensor([1.25]), 2)
    assert grid.codes(torch.tensor([[-9.0], [-0.6], [0.2], [9.0]])).flatten().tolist() == [0, 0, 2, 3]
    assert grid.values(torch.tensor([[0.0], [3.0]])).flatten().tolist() == [-0.625, 0.875]
