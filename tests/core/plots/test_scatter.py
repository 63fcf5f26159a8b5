"""The scatter as text: every point is seen once, where it belongs."""

from __future__ import annotations

import re
import string

from hypothesis import example, given, settings
from hypothesis import strategies as st

from faq_tui.core.plots.scatter import Point, scatter

SGR = re.compile(r"\x1b\[[\d;]*m")
NUMBERS = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 0.3, 0.3001, 0.31]))


@settings(max_examples=80, deadline=None)
@example([(0.0, 5e-324)], 40, 10)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8), st.integers(40, 120), st.integers(10, 40))
def test_every_point_is_seen(places: list[tuple[float, float]], width: int, height: int) -> None:
    points = [Point(x, y, mark, "cyan") for (x, y), mark in zip(places, string.ascii_uppercase, strict=False)]
    text = SGR.sub("", scatter(points, width, height, "{:.0f}".format, "{:.0f}".format))
    assert len(text.split("\n")) == height and all(len(line) <= width for line in text.split("\n"))
    assert sorted(c for c in text if c.isupper()) == sorted(point.mark for point in points)


def test_a_point_stands_where_it_belongs() -> None:
    text = SGR.sub("", scatter([Point(0, 0, "A", "red"), Point(1, 2, "B", "cyan"), Point(2, 0, "C", "red")], 60, 15))
    lines = text.split("\n")
    row = {mark: next(n for n, line in enumerate(lines) if mark in line) for mark in "ABC"}
    column = {mark: lines[row[mark]].index(mark) for mark in "ABC"}
    assert row["A"] == row["C"] > row["B"] and column["A"] < column["B"] < column["C"]
    assert abs(column["A"] + column["C"] - 2 * column["B"]) <= 1
    assert lines[row["A"]].startswith("0┤") and lines[row["B"]].startswith("2┤")


def test_nothing_to_draw() -> None:
    nan = float("nan")
    assert scatter([Point(nan, 1, "A", "red")], 60, 15) == "" and scatter([], 60, 15) == ""
    assert scatter([Point(1, 1, "A", "red")], 5, 2) == ""
    assert "A" in scatter([Point(1, 1, "A", "red"), Point(nan, 1, "B", "red")], 60, 15)
