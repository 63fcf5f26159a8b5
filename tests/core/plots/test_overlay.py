"""Landscapes and overlaid curves as text: in one scale, no peak lost, told apart without colours."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faq_tui.core.plots import landscape, picture
from faq_tui.core.plots.overlay import SHARED, overlay

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


def test_pictures_hold_every_cell() -> None:
    cells = np.linspace(0, 1, 12).astype(np.float32).reshape(3, 4)
    svg = picture.svg(["<one>", "two"], [cells, cells / np.float32(4)], 1.0, "a & b")
    assert "&lt;one&gt;" in svg and "a &amp; b" in svg and svg.count("#e02828") == 2
    png = picture.png([cells, cells / np.float32(4)], 1.0)
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (2 * 4 * picture.CELL + picture.GAP, 3 * picture.CELL)
    start = png.index(b"IDAT") + 4
    size = struct.unpack(">I", png[start - 8 : start - 4])[0]
    rows = np.frombuffer(zlib.decompress(png[start : start + size]), dtype=np.uint8).reshape(height, 1 + 3 * width)
    pixels = rows[:, 1:].reshape(height, width, 3)
    assert tuple(pixels[-1, 4 * picture.CELL - 1]) == picture.RED and tuple(pixels[0, 0]) == picture.COLD
