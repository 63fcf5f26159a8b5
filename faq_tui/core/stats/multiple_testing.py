"""Corrections for many comparisons: at 5%, one in twenty null comparisons looks significant."""

from __future__ import annotations

from collections.abc import Sequence

RATE = 0.05  # false discovery rate: at most this share of what is called better or worse is noise


def adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995).

    A None stays None and is not counted. The result of p of rank k among m is min over ranks j >= k of p_j m / j.
    """
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    results: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank in range(len(ranked), 0, -1):
        p, index = ranked[rank - 1]
        least = min(least, p * len(ranked) / rank)
        results[index] = least
    return results
