"""Landscapes as text: no peak is lost, and one scale makes the higher one higher."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faq_tui.core.plots import landscape

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
