"""Figures of landscapes: every cell is drawn, with title, axes and legend."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faq_tui.core.plots import figure, landscape_figure
from faq_tui.core.plots.colours import LEVELS, colour_of, hexadecimal, level_of
from faq_tui.core.plots.figure import Label, Polygon
from faq_tui.core.plots.landscape_figure import MAP_HEIGHT, MAP_WIDTH, Panel, heat_figure, surface_figure
from tests.core.plots.test_figure import pixels

SVG = "{http://www.w3.org/2000/svg}"
CELLS = hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 12)), elements=st.floats(0, 1, width=32))


@settings(max_examples=25, deadline=None)
@given(CELLS)
def test_every_cell_has_its_colour(cells: Any) -> None:
    """SVG and PNG: the middle of each cell has the colour of the cell's value."""
    slices, columns = cells.shape
    drawn = heat_figure("title", [Panel("one", cells, slices, columns)], 1.0)
    image = pixels(drawn)
    left, top = landscape_figure.LEFT, landscape_figure.TOP
    for row in range(slices):
        for column in range(columns):
            x, y = left + (column + 0.5) * MAP_WIDTH / columns, top + (row + 0.5) * MAP_HEIGHT / slices
            assert tuple(image[int(2 * y), int(2 * x)]) == colour_of(level_of(float(cells[row, column])))
    wanted = {hexadecimal(colour_of(level_of(float(value)))) for value in cells.flat}
    fills = {node.get("fill") for node in ElementTree.fromstring(figure.svg(drawn)).iter(f"{SVG}path")}
    assert wanted <= fills


@pytest.mark.parametrize("draw", [heat_figure, surface_figure])
def test_title_axes_and_legend(draw: Any) -> None:
    cells = np.linspace(0, 8, 40 * 30).astype(np.float32).reshape(40, 30)
    drawn = draw("<title>", [Panel("a<b", cells, 900, 60), Panel("two", cells / np.float32(2), 800, 60)], 8.0)
    texts = [shape.text for shape in drawn.shapes if isinstance(shape, Label)]
    assert texts[0] == "<title>" and "a<b: highest |x| 8, 900 tokens" in texts
    assert {"0", "2", "4", "6", "8", "59", "899", "799", "channel", "|x|"} <= set(texts)
    for shape in drawn.shapes:
        if isinstance(shape, Label):
            assert 0 <= shape.x <= drawn.width and 0 < shape.y < drawn.height
        else:
            ends = shape.points if isinstance(shape, Polygon) else (shape.start, shape.end)
            assert all(0 <= x <= drawn.width and 0 <= y <= drawn.height for x, y in ends)
    root = ElementTree.fromstring(figure.svg(drawn))
    assert any(node.text == "<title>" for node in root.iter(f"{SVG}text"))


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(2, 90), st.integers(2, 120)), elements=st.floats(0, 1, width=32)))
def test_no_peak_of_a_surface_is_lost(cells: Any) -> None:
    drawn = surface_figure("title", [Panel("one", cells, 10, 10)], 1.0)
    patches = [shape for shape in drawn.shapes if isinstance(shape, Polygon) and shape.width == landscape_figure.EDGE]
    fills = {shape.fill for shape in patches}
    assert colour_of(level_of(float(cells.max()))) in fills
    assert fills <= {colour_of(level) for level in range(LEVELS)}


def test_a_set_without_values() -> None:
    nothing = Panel("zero", np.zeros((1, 1), dtype=np.float32), 1, 1)
    for draw in (heat_figure, surface_figure):
        assert figure.svg(draw("t", [nothing], 0.0)).endswith("</svg>\n")
