"""Reasoning that is shortened for the judge keeps its ends and its budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.judging.prompt import shorten, tokens


@given(st.text(max_size=300), st.integers(1, 80))
def test_shortened_reasoning_keeps_its_ends_and_its_budget(text: str, limit: int) -> None:
    short = shorten(text, limit)
    if tokens(text) <= limit:
        assert short == text
        return
    head, _, rest = short.partition("\n[… ")
    tail = rest.partition(" left out …]\n")[2]
    assert text.startswith(head) and text.endswith(tail) and abs(len(head) - len(tail)) <= 1
    assert len(head) + len(tail) <= len(text) * limit / tokens(text) + 1
