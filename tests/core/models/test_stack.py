"""Rows of one length go through the layers together, up to the limit."""

from __future__ import annotations

from faq_tui.core.models.stack import in_batches


def test_rows_of_one_length_go_together_up_to_the_limit() -> None:
    rows = [[n] * length for n, length in enumerate((5, 3, 5, 5, 3, 9))]
    batches = in_batches(rows, 10)
    assert [[row[0] for row in batch] for batch in batches] == [[0, 2], [3], [1, 4], [5]]
    assert all(len({len(row) for row in batch}) == 1 for batch in batches)
