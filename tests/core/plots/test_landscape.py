"""Landscapes as text: no peak is lost, and one scale makes the higher one higher."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faq_tui.core.plots import landscape
from faq_tui.core.plots.colours import LEVELS, colour_of, level_of

SGR = re.compile(r"\x1b\[[\d;]*m")
CELLS = hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 90)), elements=st.floats(0, 1, width=32))


def plain(lines: list[str]) -> list[str]:
    return [SGR.sub("", line) for line in lines]


@settings(max_examples=80, deadline=None)
@given(CELLS, st.integers(8, 60), st.integers(3, 20))
def test_no_peak_is_lost_and_nothing_below_one_looks_like_one(cells: Any, width: int, height: int) -> None:
    rows = plain(landscape.heat(cells, width, height, top=1.0))
    assert len(rows) == height and all(len(row) == width for row in rows)
    assert any("█" in row for row in rows) == bool((cells >= landscape.PEAK).any())
    assert landscape.peaks(cells, 1.0) == (cells >= landscape.PEAK).sum()
    absmax = cells.max(0)
    sky = plain(landscape.skyline(absmax, width, height, top=1.0))
    assert len(sky) == height and all(len(row) == width for row in sky)
    line = sky[height - 1 - int(landscape.PEAK * height)]
    crossing = [mark != "╌" for mark in line]
    assert crossing == (landscape.fit(absmax, width) >= landscape.PEAK).tolist(), "a peak crosses it, nothing else"
    assert landscape.fit(absmax, width).max() == absmax.max()


def test_one_scale_makes_the_higher_one_higher() -> None:
    low, high = np.full(30, 2.0, dtype=np.float32), np.full(30, 8.0, dtype=np.float32)
    filled = [sum(row.count("█") for row in plain(landscape.skyline(v, 30, 8, top=8.0))) for v in (low, high)]
    assert filled == [30 * 2, 30 * 8]
    assert plain(landscape.skyline(low, 30, 8, top=0.0))[0].strip(" ╌") == ""


def pixels(lines: list[str]) -> list[list[tuple[int, ...]]]:
    """The pixels of a map of half blocks: two rows for each line."""
    rows: list[list[tuple[int, ...]]] = []
    for line in lines:
        upper: list[tuple[int, ...]] = []
        lower: list[tuple[int, ...]] = []
        for sgr, text in re.findall(r"\x1b\[38;2;([\d;]+)m(▀+)\x1b\[0m", line):
            numbers = tuple(map(int, sgr.replace("48;2;", "").split(";")))
            upper += [numbers[:3]] * len(text)
            lower += [numbers[3:]] * len(text)
        rows += [upper, lower]
    return rows


@settings(max_examples=80, deadline=None)
@given(CELLS, st.integers(1, 60), st.integers(1, 20))
def test_each_pixel_has_the_colour_of_the_largest_value_it_stands_for(cells: Any, width: int, height: int) -> None:
    drawn = pixels(landscape.heat(cells, width, height, 1.0, colours=True))
    assert len(drawn) == 2 * height and all(len(row) == width for row in drawn)
    wanted = landscape.fit(landscape.fit(cells, width).T, 2 * height).T
    assert drawn == [[colour_of(level_of(float(value))) for value in row] for row in wanted]
    present = {colour for row in drawn for colour in row}
    assert colour_of(level_of(float(cells.max()))) in present, "the highest value is on the map"


@settings(max_examples=60, deadline=None)
@given(CELLS, st.floats(0.001, 1000))
def test_the_map_depends_only_on_the_shares_of_the_scale(cells: Any, factor: float) -> None:
    assert landscape.heat(cells, 20, 5, 2.0, colours=True) == landscape.heat(cells / 2, 20, 5, 1.0, colours=True)
    scaled = landscape.heat(cells * np.float32(4), 20, 5, 4.0)
    assert scaled == landscape.heat(cells, 20, 5, 1.0)
    assert landscape.heat(cells, 20, 5, 0.0, colours=True) == landscape.heat(cells * 0, 20, 5, factor, colours=True)


@settings(deadline=None)
@given(st.integers(1, 120), st.floats(0.01, 1e4), st.booleans())
def test_the_legend_fits_and_begins_with_zero(width: int, top: float, coloured: bool) -> None:
    drawn = plain([landscape.legend(width, top, coloured)])[0]
    assert len(drawn) <= width
    assert drawn == "" or (drawn.startswith("0 ") and drawn.endswith(f" {top:.3g}"))
    assert drawn or width < 20
    if width >= 60:
        assert f" {landscape.PEAK * top:.3g} " in drawn, "where the peaks begin"
        colours = pixels([landscape.legend(width, top, True)])[0]
        assert colours[0] == colour_of(0) and colours[-1] == colour_of(LEVELS - 1)
