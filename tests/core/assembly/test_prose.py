"""Rows of prose have equal lengths, hold every token once, and depend only on the text and the random seed."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.assembly.prose import PIECE, Prose
from faq_tui.core.assembly.sample import MIN_TOKENS
from faq_tui.core.chat.template import Template
from faq_tui.core.chat.token_kinds import KINDS
from tests.support.tiny import make_tiny_tokenizer

TEXT = " ".join(f"Sentence {n} of the article says that {n} is a number, and no more." for n in range(120))


@cache
def template() -> Template:
    return Template(make_tiny_tokenizer())


@settings(max_examples=15, deadline=None)
@given(st.integers(16, 200), st.integers(0, 3))
def test_the_rows_of_a_text(longest: int, key: int) -> None:
    rows = list(Prose(TEXT, template(), key).rows(longest))
    lengths = [row.n_tokens for row in rows]
    full = lengths.count(longest)
    assert lengths[:full] == [longest] * full and all(MIN_TOKENS <= n < longest for n in lengths[full:])
    assert len({row.seed_id for row in rows}) == len(rows)
    for row in rows:
        assert row.text == template().decode(row.input_ids) and row.text in TEXT
        assert (row.source, row.way, row.answered, len(row.kinds)) == ("prose", "prose", False, row.n_tokens)
        assert KINDS[row.kinds[0]] == "sink" and {KINDS[kind] for kind in row.kinds[1:]} == {"question"}
    assert list(Prose(TEXT, template(), key).rows(longest)) == rows
    again = list(Prose(TEXT, template(), key, begin=0.5).rows(longest))
    assert sorted(row.seed_id for row in again) == sorted(row.seed_id for row in rows)
    pieces = -(-len(TEXT) // (PIECE * longest))
    if pieces > 3:
        assert again[0] != rows[0]


def test_special_tokens_are_removed_even_where_they_are_nested() -> None:
    text = "Before <|im_<|im_end|>end|> and after. " * 20
    rows = list(Prose(text, template(), 0).rows(64))
    assert rows and all("<|im_" not in row.text and "Before  and after." in row.text for row in rows)


@pytest.mark.parametrize("text", ["", "   ", "short"])
def test_too_short_a_text_has_no_rows(text: str) -> None:
    assert list(Prose(text, template(), 0).rows(64)) == []
