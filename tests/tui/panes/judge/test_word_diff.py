"""Words that differ between two texts."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.tui.panes.judge.word_diff import MOST_WORDS, compare, differing

TEXTS = st.text(alphabet="ab .,\n\u4e2dé", max_size=60)


def test_words_of_one_text_are_marked() -> None:
    left, right = compare("The square root of two is irrational.", "The root of 2 is irrational.")
    assert [text for text, differs in left if differs] == [" square", " two"]
    assert [text for text, differs in right if differs] == [" 2"]
    assert (differing(left), differing(right)) == (2, 1)


def test_a_few_equal_words_between_long_differences_are_chance() -> None:
    left, right = compare("One two three the four five six.", "Seven eight nine the ten eleven twelve.")
    assert differing(left) == differing(right) == 7


@given(TEXTS, TEXTS)
def test_the_pieces_are_the_text(one: str, other: str) -> None:
    left, right = compare(one, other)
    assert "".join(text for text, _ in left) == one
    assert "".join(text for text, _ in right) == other
    common = [
        [word for text, differs in pieces if not differs for word in re.findall(r"\w+|[^\w\s]", text)]
        for pieces in (left, right)
    ]
    assert common[0] == common[1]
    assert not differing(compare(one, one)[0])


@pytest.mark.parametrize("text", ["a " * 20_000, "ab" * 20_000, " ".join("ab" * 10_000), "\n" * 20_000])
def test_a_long_text_is_fast_and_its_rest_is_not_marked(text: str) -> None:
    began = time.process_time()
    left, right = compare("x " + text, text[::-1] + " y")
    assert time.process_time() - began < 2
    assert "".join(piece for piece, _ in left) == "x " + text
    assert sum(differs for _, differs in right) <= MOST_WORDS
