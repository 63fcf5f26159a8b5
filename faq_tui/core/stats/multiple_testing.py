"""Many comparisons at once: of twenty without any effect one will look like one."""

from __future__ import annotations

from collections.abc import Sequence

RATE = 0.05  # of what is called better or worse, at most this share is noise


def adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg (1995): p-values that may be held against the false discovery rate.

    None stays None and is not counted. The result of p of rank k among m is min over ranks j >= k of p_j m / j.
    """
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    found: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank in range(len(ranked), 0, -1):
        p, index = ranked[rank - 1]
        least = min(least, p * len(ranked) / rank)
        found[index] = least
    return found
