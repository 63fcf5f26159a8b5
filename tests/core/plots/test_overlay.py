"""Landscapes and overlaid curves as text: in one scale, no peak lost, told apart without colours."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.plots.overlay import SHARED, overlay

SGR = re.compile(r"\x1b\[[\d;]*m")


def test_curves_have_their_own_marks_and_an_axis_that_holds_them() -> None:
    text = SGR.sub("", overlay({"a": [1.0, 2.0, None, 4.0], "b": [4.0, 3.0, 2.0, float("nan")]}, 60, 12))
    assert "•" in text and "×" in text and "0" in text
    steep = SGR.sub("", overlay({"a": [0.1, 1.0, 90.0]}, 60, 12))
    assert re.search(r"\b1┤", steep) and re.search(r"\b(10|20|50)┤", steep)
    assert overlay({"a": [None, float("inf")]}, 60, 12) == "" and overlay({"a": [1.0]}, 5, 2) == ""


def test_a_curve_does_not_hide_another() -> None:
    same, higher = [1.0, 2.0, 3.0, 2.0], [1.0, 2.0, 3.0, 9.0]
    twice = overlay({"a": same, "b": same}, 60, 12)
    assert SHARED in twice and not {"•", "×"} & set(SGR.sub("", twice))
    met = SGR.sub("", overlay({"a": same, "b": higher}, 60, 12))
    assert all(mark in met for mark in ("•", "×", SHARED))
    alone = SGR.sub("", overlay({"a": higher}, 60, 12))
    assert SHARED not in alone and [len(row) for row in alone.split("\n")] == [len(row) for row in met.split("\n")]


def test_neighbouring_values_are_connected_and_a_gap_is_empty() -> None:
    def columns(values: list[float | None]) -> list[bool]:
        """Whether something is drawn in each column of the plot."""
        rows = SGR.sub("", overlay({"a": values}, 60, 12)).split("\n")[:-2]
        start = 1 + max(row.find(mark) for row in rows for mark in "│┤")
        return [any(row[column] != " " for row in rows) for column in range(start, 60)]

    assert all(columns([1.0, 9.0])) and all(columns([3.0, 3.0, 1.0]))
    drawn = columns([1.0, 2.0, None, 2.0, 1.0])
    quarter = len(drawn) // 4
    assert all(drawn[: quarter - 1]) and all(drawn[-quarter + 1 :]) and not any(drawn[quarter + 1 : -quarter - 1])
    alone = columns([None, 2.0, None])
    assert sum(alone) == 1, "a single value has a mark"


@settings(deadline=None)
@given(
    st.lists(st.lists(st.none() | st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40), min_size=1, max_size=4),
    st.integers(16, 120),
    st.integers(4, 30),
)
def test_a_plot_has_its_size(series: list[list[float | None]], width: int, height: int) -> None:
    text = SGR.sub("", overlay({str(n): values for n, values in enumerate(series)}, width, height))
    known = [value for values in series for value in values if value is not None]
    assert bool(text) == bool(known)
    if text:
        rows = text.split("\n")
        assert len(rows) == height and all(len(row) == width for row in rows)
