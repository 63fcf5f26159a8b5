"""SpQR's grids and outliers against their formulas: leave-one-out, the second level, rounding."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.quantizing.methods.spqr.grid import Grid, fit_group, likely_outliers, second_level, without

SEEDS = st.integers(0, 2**31)


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


def test_grids_round_to_the_nearest_code() -> None:
    grid = Grid(torch.tensor([0.5]), torch.tensor([1.25]), 2)
    assert grid.codes(torch.tensor([[-9.0], [-0.6], [0.2], [9.0]])).flatten().tolist() == [0, 0, 2, 3]
    assert grid.values(torch.tensor([[0.0], [3.0]])).flatten().tolist() == [-0.625, 0.875]
