"""Correct p-values for many comparisons.

If nothing has an effect, 5% of uncorrected comparisons still look significant by chance.
"""

from __future__ import annotations

from collections.abc import Sequence

# false discovery rate: the expected share of wrong results among all results that are called better or worse
RATE = 0.05


def adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995).

    An entry that is None stays None and does not count as a comparison. With m p-values in ascending order, the
    adjusted p-value of rank k is the minimum of p_j m / j over all ranks j >= k, where p_j is the p-value of rank j.
    """
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    results: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank in range(len(ranked), 0, -1):
        p, index = ranked[rank - 1]
        least = min(least, p * len(ranked) / rank)
        results[index] = least
    return results
