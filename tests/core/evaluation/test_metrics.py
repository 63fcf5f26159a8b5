"""Metrics and bootstrap against brute force, and whether "95%" is true where nothing differs."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.evaluation.heldout import SHORT, Item, batches, windows
from faq_tui.core.evaluation.kinds import PROSE
from faq_tui.core.evaluation.metrics import KL, PERPLEXITY, TOP1, Metric, metrics_of
from faq_tui.core.stats.bootstrap import difference, of_metric, recovered, resampled, tail_share
from faq_tui.core.stats.sums import Sums

METRICS = metrics_of(PROSE)

rows = st.lists(
    st.tuples(st.integers(1, 500), st.floats(0.01, 8), st.floats(0, 5), st.floats(0, 1)), min_size=5, max_size=12
)


def sums_of(items: list[tuple[int, float, float, float]]) -> Sums:
    columns = {
        "tokens": [float(n) for n, *_ in items],
        "nll": [n * nll for n, nll, *_ in items],
        "kl": [n * kl for n, _, kl, _ in items],
        "agree": [float(round(n * agree)) for n, *_, agree in items],
    }
    return Sums.of(columns)


def by_hand(metric: Metric, items: list[tuple[int, float, float, float]]) -> float:
    tokens = sum(n for n, *_ in items)
    if metric is PERPLEXITY:
        return math.exp(sum(n * nll for n, nll, *_ in items) / tokens)
    if metric is KL:
        return sum(n * kl for n, _, kl, _ in items) / tokens
    return sum(round(n * agree) for n, *_, agree in items) / tokens


@given(rows)
def test_metrics_are_ratios_of_sums_over_all_tokens(items: list[tuple[int, float, float, float]]) -> None:
    for metric in METRICS:
        assert metric.value_of(sums_of(items)) == pytest.approx(by_hand(metric, items), rel=1e-9, abs=1e-12)


@given(rows, st.randoms(use_true_random=False))
def test_a_resample_weighs_items_as_often_as_they_were_drawn(
    items: list[tuple[int, float, float, float]], dice: random.Random
) -> None:
    drawn = [dice.randrange(len(items)) for _ in items]
    weights = np.array([[drawn.count(index) for index in range(len(items))]], dtype=float)
    for metric in METRICS:
        expected = by_hand(metric, [items[index] for index in drawn])
        assert metric.values(sums_of(items), weights)[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def some_items(count: int, seed: int, kl: float = 0.2) -> list[tuple[int, float, float, float]]:
    dice = random.Random(seed)
    return [
        (20 + 7 * index % 40, dice.uniform(1, 3), kl + dice.uniform(0, 0.2), dice.uniform(0.5, 0.9))
        for index in range(count)
    ]


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


def test_the_tail_follows_students_t() -> None:
    for count, t in [(5, 2.7764), (8, 2.3646), (32, 2.0395), (1000, 1.9623)]:
        z = NormalDist().inv_cdf(1 - tail_share(count))
        assert z / math.sqrt(count / (count - 1)) == pytest.approx(t, rel=3e-3)


def test_no_share_of_no_loss_and_no_interval_of_few_items() -> None:
    items = some_items(32, 1)
    same = sums_of(items)
    assert recovered(KL, same, same, same, 500) is None
    few = of_metric(KL, sums_of(items[:4]), 500)
    assert few.low is None and not few.excludes(99.0)


@pytest.mark.parametrize(("metric", "column", "loses"), [(PERPLEXITY, "nll", 1.0), (TOP1, "agree", -1.0)])
def test_no_share_of_a_loss_where_the_baseline_gained(metric: Metric, column: str, loses: float) -> None:
    """Quantization can make text likelier by chance: then there is no loss of which a share could be recovered."""
    tokens = np.full(32, 100.0)
    middle = np.linspace(40.0, 60.0, 32)

    def moved(by: float) -> Sums:
        return Sums.of({"tokens": tokens, column: middle + loses * by})

    gained = recovered(metric, moved(-8.0), moved(-4.0), moved(0.0), 400)
    lost = recovered(metric, moved(2.0), moved(4.0), moved(0.0), 400)
    assert gained is None
    assert lost is not None and 0.4 < lost.value < 0.6


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


@given(st.integers(0, 60).map(lambda n: list(range(n))), st.integers(8, 20), st.sampled_from([None, 7]))
def test_windows_hold_the_text_once_and_in_order(ids: list[int], size: int, bos: int | None) -> None:
    found = windows(ids, size, bos)
    head = 0 if bos is None else 1
    told = [token for item in found for token in item.ids[head:]]
    assert told == ids[: len(told)] and len(ids) - len(told) <= (1 if bos is None else 0)
    assert all(item.first == 1 and 2 <= len(item.ids) <= size for item in found)
    assert all(len(item.ids) == size for item in found[:-1])
    assert bos is None or all(item.ids[0] == bos for item in found)


@given(st.lists(st.integers(2, 30), max_size=20), st.integers(1, 6))
def test_batches_hold_every_item_once(lengths: list[int], size: int) -> None:
    items = [Item(tuple(range(length)), 1) for length in lengths]
    found = list(batches(items, size))
    assert sorted(index for batch in found for index in batch) == list(range(len(items)))
    for batch in found:
        longest = max(len(items[index].ids) for index in batch)
        assert 1 <= len(batch) <= max(size, size * SHORT // longest)
