"""Tokens a second over the last seconds, from deltas that come in thousands."""

from __future__ import annotations

from collections import deque

WINDOW_S = 10.0
BUCKET_S = 0.5


class Rate:
    """Units a second over a sliding window; one number is kept for each half second."""

    def __init__(self) -> None:
        self._buckets: deque[list[float]] = deque()  # [its start, units]
        self._first: float | None = None

    def add(self, units: float, at: float) -> None:
        """`at`: unix seconds, not falling."""
        if self._buckets and at - self._buckets[-1][0] < BUCKET_S:
            self._buckets[-1][1] += units
            return
        if self._first is None:
            self._first = at
        self._buckets.append([at, units])
        while self._buckets[0][0] < at - WINDOW_S:
            self._buckets.popleft()

    def per_second(self, now: float) -> float:
        """Over the last ten seconds, or over all there has been if that is less; silence counts as zero."""
        if self._first is None:
            return 0.0
        span = min(WINDOW_S, max(now - self._first, 1.0))
        return sum(units for start, units in self._buckets if start >= now - WINDOW_S) / span
