"""The cover is greedy and holds every sample."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.assembly.coverage_task import greedy_cover


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=9))
def test_the_cover_is_greedy_and_holds_everyone(rows: list[list[bool]]) -> None:
    driven = np.array(rows)
    order = greedy_cover(driven)
    assert sorted(order) == list(range(len(rows)))
    covered = np.zeros(5, dtype=bool)
    for place, index in enumerate(order):
        gains = [(driven[i] & ~covered).sum() for i in order[place:]]
        if max(gains) == 0:
            break  # the cover is whole
        assert gains[0] == max(gains)
        covered |= driven[index]
    assert (covered == driven.any(axis=0)).all()
