"""Pictures hold every cell."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from faq_tui.core.plots import picture


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
