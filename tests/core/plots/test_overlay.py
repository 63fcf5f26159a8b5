"""Landscapes and overlaid curves as text: in one scale, no peak lost, told apart without colours."""

from __future__ import annotations

import re

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
