"""Text from models, files and servers cannot move the cursor, turn the line round or break it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.text import amount, counted, csv_cell, duration, in_a_row, sanitize, size

ANY = st.text(st.characters(), max_size=60)  # surrogates and controls too
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = "\u061c\u200e\u200f"


def test_a_count_agrees_with_its_noun() -> None:
    assert [counted(n, "seed") for n in (0, 1, 2, 2000)] == ["0 seeds", "1 seed", "2 seeds", "2,000 seeds"]
    assert [counted(n, "expert gets", "experts get") for n in (1, 3)] == ["1 expert gets", "3 experts get"]


@given(ANY | st.text("\x00\x07\x1b[31m\x7f\x85\x9b\r\n\t\u2028\u2029\u202e\u2066\u061c\ud800\udfff", max_size=40))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    for newlines in (False, True):
        out = sanitize(text, newlines=newlines)
        for char in out.replace("\n", "") if newlines else out:
            assert unicodedata.category(char) not in ("Cc", "Cs"), hex(ord(char))
            assert unicodedata.bidirectional(char) not in BIDI and char not in MARKS, hex(ord(char))
        assert len(out) == len(text)
    assert len(sanitize(text).splitlines()) <= 1
    out.encode("utf-8")


@given(ANY, st.integers(1, 30))
def test_limit(text: str, limit: int) -> None:
    out = sanitize(text, limit)
    assert len(out) <= limit
    assert out == sanitize(text) or out.endswith("…")


def test_ordinary_text_stays_as_it_is() -> None:
    text = "Grüße, 日本語, 👩‍👧, [bold]not markup[/], 1 < 2\nnext"
    assert sanitize(text, newlines=True) == text
    assert sanitize("a\nb\tc") == "a b c"
    assert sanitize("\x1b[2J") == "\ufffd[2J"


@pytest.mark.parametrize(
    ("seconds", "about", "exact"),
    [
        (0.04, "0 s", "0.0 s"),
        (4.5, "4 s", "4.5 s"),
        (89.4, "89 s", "1 min 29 s"),
        (90, "2 min", "1 min 30 s"),
        (723, "12 min", "12 min 03 s"),
        (3600, "60 min", "1 h 00 min"),
        (5400, "1 h 30 min", "1 h 30 min"),
        (11100, "3 h 05 min", "3 h 05 min"),
    ],
)
def test_durations(seconds: float, about: str, exact: str) -> None:
    assert duration(seconds) == about and duration(seconds, exact=True) == exact


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (3_140_000_000, 16_400_000_000, "3.1 of 16.4 GB"),
        (50_000_000, 1_000_000_000, "0.1 of 1.0 GB"),
        (40_300_000, 93_000_000, "40 of 93 MB"),
        (1_500, 2_000_000, "0.0 of 2.0 MB"),
    ],
)
def test_amounts(done: int, total: int, text: str) -> None:
    assert amount(done, total) == text
    assert text.endswith(size(total))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_spreadsheet_runs_no_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


def test_other_cells_stay() -> None:
    assert [csv_cell(value) for value in (-1.5, "a=b", "", None)] == [-1.5, "a=b", "", None]


def test_words_in_a_row() -> None:
    assert [in_a_row(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
