"""What the exception of a request means, and how long the next try waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints.faults import backoff


@given(st.integers(1, 10_000), st.floats(0, 60))
def test_waits_grow_but_stay_bounded(attempt: int, first: float) -> None:
    assert 0 <= backoff(attempt, first) <= min(60.0, first * 2.0 ** min(attempt - 1, 30))
