"""Items of a held-out set and the sums of their figures."""

from __future__ import annotations

import math
import random

from hypothesis import strategies as st

from faq_tui.core.evaluation.kinds import PROSE
from faq_tui.core.evaluation.metrics import KL, PERPLEXITY, Metric, metrics_of
from faq_tui.core.stats.sums import Sums

METRICS = [metric for metric in metrics_of(PROSE) if not metric.of_tokens]


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


def some_items(count: int, seed: int, kl: float = 0.2) -> list[tuple[int, float, float, float]]:
    dice = random.Random(seed)
    return [
        (20 + 7 * index % 40, dice.uniform(1, 3), kl + dice.uniform(0, 0.2), dice.uniform(0.5, 0.9))
        for index in range(count)
    ]
