"""Columns of the paper's tables stand for tasks that the lists have."""

from __future__ import annotations

from faq_tui.core.paper.columns import GENERAL, MEANS, SOURCES, SPECIAL
from faq_tui.core.paper.tables import cells


def test_columns_stand_for_tasks_that_the_lists_have() -> None:
    assert {c.metric for c in cells()} == {*SOURCES, *MEANS, "avg"}
    assert len(GENERAL) == 12 and len(SPECIAL) == 5
