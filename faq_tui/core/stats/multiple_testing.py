"""Correct p-values for many comparisons: at 5%, one in twenty comparisons without any effect looks significant."""

from __future__ import annotations

from collections.abc import Sequence

RATE = 0.05  # false discovery rate: the expected share of wrong results among those called better or worse


def adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995).

    A None stays None and is not counted. The adjusted p-value of rank k among m is the minimum of p_j m / j over all
    ranks j >= k.
    """
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    results: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank in range(len(ranked), 0, -1):
        p, index = ranked[rank - 1]
        least = min(least, p * len(ranked) / rank)
        results[index] = least
    return results
