"""The area under the curve, counted pair by pair, and how often its interval holds the truth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.stats.auc import auc, interval


@given(st.lists(st.integers(1, 10), min_size=1, max_size=12), st.lists(st.integers(1, 10), min_size=1, max_size=12))
def test_auc_counts_pairs_and_lies_in_its_interval(better: list[int], worse: list[int]) -> None:
    value = auc(better, worse)
    wins = sum(1.0 if b > w else 0.5 if b == w else 0.0 for b in better for w in worse)
    assert value == pytest.approx(wins / (len(better) * len(worse)))
    assert auc(worse, better) == pytest.approx(1 - value)
    low, high = interval(value, len(better), len(worse))
    assert 0.0 <= low <= value <= high <= 1.0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two normal distributions one and a half standard deviations apart: AUC = Phi(1.5 / sqrt(2))."""
    import random

    dice = random.Random(5)
    truth = 0.5 * (1 + math.erf(1.5 / 2))
    covered = 0
    for _ in range(400):
        real, other = [dice.gauss(1.5, 1) for _ in range(8)], [dice.gauss(0, 1) for _ in range(16)]
        low, high = interval(auc(real, other), 8, 16)
        covered += low <= truth <= high
    assert 0.91 <= covered / 400 <= 1.0
    assert interval(1.0, 8, 16)[0] < 0.95  # told apart without an error is not certainty
