"""Metrics and bootstrap against brute force, and whether "95%" is true where nothing differs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from faq_tui.core.evaluation.metrics import KL, PERPLEXITY, TOP1, Metric
from faq_tui.core.stats.bootstrap import of_metric, recovered
from faq_tui.core.stats.sums import Sums
from tests.support.item_sums import METRICS, by_hand, rows, some_items, sums_of


@given(rows)
def test_metrics_are_ratios_of_sums_over_all_tokens(items: list[tuple[int, float, float, float]]) -> None:
    for metric in METRICS:
        assert metric.value_of(sums_of(items)) == pytest.approx(by_hand(metric, items), rel=1e-9, abs=1e-12)


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
