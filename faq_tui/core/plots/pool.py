"""Fewer points for a plot, without losing a spike."""

from __future__ import annotations

import math
from collections.abc import Sequence


def max_pool(values: Sequence[float], points: int) -> list[tuple[int, float]]:
    """At most `points` of (index, value): the largest finite value of each stretch, where it stands."""
    finite = [(index, value) for index, value in enumerate(values) if math.isfinite(value)]
    if len(values) <= points or not finite:
        return finite
    largest: dict[int, tuple[int, float]] = {}
    for index, value in finite:
        stretch = index * points // len(values)
        if stretch not in largest or value > largest[stretch][1]:
            largest[stretch] = (index, value)
    return list(largest.values())
