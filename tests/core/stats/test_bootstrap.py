"""Intervals against a brute-force bootstrap, and whether "95%" is true where nothing differs."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.evaluation.metrics import KL, PERPLEXITY, TOP1, Metric
from faq_tui.core.stats.bootstrap import difference, of_metric, recovered, resampled, tail_share
from faq_tui.core.stats.sums import Sums
from tests.support.item_sums import METRICS, by_hand, rows, some_items, sums_of


@given(rows, st.randoms(use_true_random=False))
def test_a_resample_weighs_items_as_often_as_they_were_drawn(
    items: list[tuple[int, float, float, float]], dice: random.Random
) -> None:
    drawn = [dice.randrange(len(items)) for _ in items]
    weights = np.array([[drawn.count(index) for index in range(len(items))]], dtype=float)
    for metric in METRICS:
        expected = by_hand(metric, [items[index] for index in drawn])
        assert metric.values(sums_of(items), weights)[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.slow
def test_intervals_equal_a_brute_force_bootstrap_with_other_draws() -> None:
    count, resamples = 24, 20_000
    ours, theirs, target = some_items(count, 1), some_items(count, 2, 0.4), some_items(count, 3, 0.0)
    dice = random.Random(7)
    draws = [[dice.randrange(count) for _ in range(count)] for _ in range(resamples)]
    for metric in METRICS:

        def brute(statistic: object) -> tuple[float, float]:
            values = np.array([statistic(draw) for draw in draws])  # type: ignore[operator]
            low, high = np.quantile(values, [tail_share(count), 1 - tail_share(count)])
            return float(low), float(high)

        def of(items: list[tuple[int, float, float, float]], draw: list[int], metric: Metric = metric) -> float:
            return by_hand(metric, [items[index] for index in draw])

        # Both sides are random in the tails: a few hundredths of the interval's width.
        found = difference(metric, sums_of(ours), sums_of(theirs), resamples)
        low, high = brute(lambda draw: of(ours, draw) - of(theirs, draw))
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
        found = of_metric(metric, sums_of(ours), resamples)
        low, high = brute(lambda draw: of(ours, draw))
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
    share = recovered(KL, sums_of(ours), sums_of(theirs), sums_of(target), resamples)
    assert share is not None
    assert share.value == pytest.approx(
        (by_hand(KL, theirs) - by_hand(KL, ours)) / (by_hand(KL, theirs) - by_hand(KL, target))
    )


@pytest.mark.parametrize("count", [8, 32, 64])
def test_where_nothing_differs_the_interval_excludes_zero_about_five_times_in_a_hundred(count: int) -> None:
    dice = np.random.default_rng(11)
    experiments, false_alarms = 800, 0
    for _ in range(experiments):
        tokens = dice.integers(100, 200, count).astype(float)
        hardness = dice.gamma(4.0, 0.5, count)  # shared by both models, skewed as texts are
        sides = []
        for _ in range(2):
            kl = np.abs(0.2 + 0.05 * dice.standard_normal(count)) * tokens
            sides.append(Sums.of({"tokens": tokens, "nll": hardness * tokens + kl, "kl": kl, "agree": tokens - kl}))
        false_alarms += difference(KL, sides[0], sides[1], 1000).excludes(0.0)
    assert 0.03 <= false_alarms / experiments <= 0.08


def test_a_real_difference_is_seen() -> None:
    better, worse = sums_of(some_items(32, 1, kl=0.1)), sums_of(some_items(32, 2, kl=0.3))
    found = difference(KL, better, worse, 1000)
    assert found.high is not None and found.high < 0


def test_pairing_removes_what_both_sides_share() -> None:
    dice = np.random.default_rng(0)
    tokens, hardness = np.full(32, 100.0), 100 * dice.gamma(4, 1, 32)
    a, b = (Sums.of({"tokens": tokens, "nll": nll}) for nll in (hardness, hardness + 1.0))
    alone, paired = of_metric(PERPLEXITY, a, 1000), difference(PERPLEXITY, b, a, 1000)
    assert alone.low is not None and alone.high is not None
    assert paired.low is not None and paired.high is not None
    assert paired.low > 0
    assert paired.high - paired.low < 0.05 * (alone.high - alone.low)


def test_a_number_that_is_not_finite_has_no_interval() -> None:
    broken = sums_of(some_items(8, 1))
    broken.columns["nll"][3] = math.nan
    found = of_metric(PERPLEXITY, broken, 200)
    assert math.isnan(found.value) and found.low is None


def test_sides_with_other_items_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same items"):
        difference(TOP1, sums_of(some_items(8, 1)), sums_of(some_items(9, 1)[1:]), 200)


def test_draws_are_the_same_every_time() -> None:
    first = resampled(10, 100, 3).copy()
    resampled.cache_clear()
    assert np.array_equal(first, resampled(10, 100, 3))
    assert (first.sum(axis=1) == 10).all()
