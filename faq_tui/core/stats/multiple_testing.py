"""Correct p-values for many comparisons.

Without a correction, chance alone makes 5% of the comparisons look significant, even if nothing has an effect.
"""

from __future__ import annotations

from collections.abc import Sequence

# False discovery rate: chance may cause at most this share of the results that are called better or worse.
RATE = 0.05


def adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995).

    None stays None and does not count as a comparison. Let p_1, …, p_m be the m p-values in ascending order. The
    adjusted value of p_k is the minimum of p_j m / j over all j >= k.
    """
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    results: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank in range(len(ranked), 0, -1):
        p, index = ranked[rank - 1]
        least = min(least, p * len(ranked) / rank)
        results[index] = least
    return results
