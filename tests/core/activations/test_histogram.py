"""Quantiles from histograms, within the bound that is stated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.activations.histogram import Histogram, Quantiles

EXACT = 1e-5


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=4),
    scale=st.floats(1e-6, 1e6),
    zeros=st.floats(0.0, 0.4),
    share=st.sampled_from([0.5, 0.75, 0.999, 1.0]),
)
def test_quantiles_to_within_the_bound(seed: int, sizes: list[int], scale: float, zeros: float, share: float) -> None:
    import torch

    dice = np.random.default_rng(seed)
    histogram, parts = Histogram(torch.float32), []
    for size in sizes:
        part = (np.abs(dice.standard_t(3, size)) * scale).astype(np.float32)
        part[dice.random(size) < zeros] = 0.0
        histogram.add(torch.from_numpy(part), float(part.max()))
        parts.append(part)
    whole = np.concatenate(parts).astype(np.float64)
    quantiles = histogram.freeze()
    assert len(quantiles) == len(whole)
    wanted = np.quantile(whole, share)
    if np.quantile(whole, share, method="lower") >= quantiles.floor:
        assert quantiles.at(share) == pytest.approx(wanted, rel=EXACT / 2)
    if wanted * 1.1 >= quantiles.floor:
        assert quantiles.above(wanted * 1.1) == pytest.approx((whole > wanted * 1.1).sum(), abs=1)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scales=st.lists(st.floats(0.8, 1.25), min_size=2, max_size=5),
    freedom=st.sampled_from([2, 3, 30]),
)
def test_where_only_some_bins_are_filled_what_is_asked_for_stays_within_the_bound(
    seed: int, scales: list[float], freedom: int
) -> None:
    quantiles, whole = _counted(seed, scales, freedom)
    assert len(quantiles) == len(whole)
    median = float(np.quantile(whole, 0.5))
    assert quantiles.at(0.5) == pytest.approx(median, rel=EXACT / 2)
    assert quantiles.at(0.999) == pytest.approx(np.quantile(whole, 0.999), rel=EXACT / 2)
    assert quantiles.at(1.0) == pytest.approx(whole.max(), rel=EXACT / 2)
    for threshold in (6 * whole.std(), 20 * median):
        near = np.abs(whole / threshold - 1) < EXACT
        assert quantiles.above(threshold) == pytest.approx((whole > threshold).sum(), abs=int(near.sum()))


def test_values_that_change_out_of_all_reach_are_told_to_a_hundredth() -> None:
    for scales in ([1, 16, 16, 16], [2, 1, 1, 1], [1, 2, 4, 8, 16]):
        quantiles, whole = _counted(1, scales, 3)
        for share in (0.5, 0.999):
            assert quantiles.at(share) == pytest.approx(np.quantile(whole, share), rel=2**-7)
        threshold = 6 * whole.std()
        assert quantiles.above(threshold) == pytest.approx((whole > threshold).sum(), rel=0.02)


def _counted(seed: int, scales: Sequence[float], freedom: int) -> tuple[Quantiles, np.ndarray]:
    """Of |t|-distributed values, a row of 40,000 at each scale."""
    import torch

    dice = np.random.default_rng(seed)
    histogram = Histogram(torch.float32)
    rows = [(np.abs(dice.standard_t(freedom, 40_000)) * scale).astype(np.float32) for scale in scales]
    for row in rows:
        histogram.add(torch.from_numpy(row), float(row.max()))
    return histogram.freeze(), np.concatenate(rows).astype(np.float64)
