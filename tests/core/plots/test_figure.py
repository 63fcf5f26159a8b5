"""Figures: SVG and PNG show the same shapes, and hostile text stays text."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from faq_tui.core.plots import figure
from faq_tui.core.plots.figure import Figure, Label, Polygon, Stroke

SVG = "{http://www.w3.org/2000/svg}"
CELLS = hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 12)), elements=st.floats(0, 1, width=32))


def pixels(drawn: Figure) -> Any:
    return np.array(Image.open(io.BytesIO(figure.png(drawn))).convert("RGB"))


def test_both_formats_show_the_same_shapes() -> None:
    drawn = Figure("a & b", 60, 40)
    drawn.rectangle(10, 10, 20, 20, (200, 0, 0))
    drawn.shapes += [
        Polygon(((40, 5), (55, 5), (47, 30)), (0, 0, 200)),
        Stroke((0, 35), (60, 35), (0, 150, 0), 2.0),
        Label(12, 24, "x<y", bold=True),
    ]
    text = figure.svg(drawn)
    root = ElementTree.fromstring(text)
    assert [node.text for node in root.iter(f"{SVG}text")] == ["x<y"] and root.findtext(f"{SVG}title") == "a & b"
    image = pixels(drawn)
    assert image.shape == (80, 120, 3)
    for (x, y), colour in {
        (25, 12): (200, 0, 0),
        (47, 10): (0, 0, 200),
        (30, 35): (0, 150, 0),
        (5, 5): (255,) * 3,
    }.items():
        assert tuple(image[2 * y, 2 * x]) == colour
    assert (image[28:50, 24:50] == figure.INK[0]).any(), "the label"
    # A text that goes upwards is higher than wide.
    turned = Figure("t", 60, 60)
    turned.shapes.append(Label(30, 30, "a long text", anchor="middle", turned=True))
    rows, columns = np.nonzero(pixels(turned).min(-1) < 128)
    assert np.ptp(rows) > 2 * np.ptp(columns) and abs((rows.min() + rows.max()) / 2 - 60) < 4
