"""A scale holds its values and has round ticks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.report.html.figures import scale


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=6))
def test_a_scale_holds_its_values_and_has_round_ticks(values: list[float]) -> None:
    found = scale(values, 100, 500)
    assert all(100 <= found(value) <= 500 for value in values)
    ticks = found.ticks()
    assert 1 <= len(ticks) <= 7 and all(99 <= found(tick) <= 501 for tick in ticks)
