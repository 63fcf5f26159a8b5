"""Adjusted p-values are those of Benjamini and Hochberg."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.stats.multiple_testing import adjusted


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_adjusted_p_values_are_benjamini_and_hochbergs(p_values: list[float | None]) -> None:
    """By the definition: rejected at q are the k smallest, with k the largest rank whose p is at most q k / m."""
    found = adjusted(p_values)
    there = sorted(p for p in p_values if p is not None)
    for q in (0.01, 0.05, 0.2, 0.7):
        count = max((k for k, p in enumerate(there, 1) if p <= q * k / len(there)), default=0)
        limit = there[count - 1] if count else -1.0
        for p, after in zip(p_values, found, strict=True):
            assert (after is None) == (p is None)
            if p is not None and after is not None and not math.isclose(after, q, rel_tol=1e-9):
                assert (after <= q) == (p <= limit)
