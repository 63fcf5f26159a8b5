"""Draw two landscapes side by side as SVG and as PNG.

Both pictures have the same colour scale, and peaks are red. No drawing library is used.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from faq_tui.core.plots.landscape import PEAK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

CELL, GAP, MARGIN = 4, 24, 48  # in pixels: size of a cell, gap between the two pictures, margin around them
LEVELS = 16  # a value that is not a peak has one of the shades 0 to 16
COLD, WARM, RED = (247, 249, 252), (44, 98, 168), (224, 40, 40)


def svg(titles: Sequence[str], landscapes: Sequence[Floats], top: float, note: str) -> str:
    """The landscapes, each of shape [slices, columns], as SVG.

    Neighbouring cells of a row that have the same colour become one rectangle.
    """
    widths = [landscape.shape[1] * CELL for landscape in landscapes]
    height = max(landscape.shape[0] for landscape in landscapes) * CELL
    whole = sum(widths) + GAP * (len(widths) - 1) + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{height + 2 * MARGIN}" '
        'font-family="sans-serif" font-size="14">',
        f'<rect width="{whole}" height="{height + 2 * MARGIN}" fill="white"/>',
    ]
    left = MARGIN
    for title, landscape, width in zip(titles, landscapes, widths, strict=True):
        out.append(f'<text x="{left}" y="{MARGIN - 12}">{escape(title)}</text>')
        out += _rectangles(landscape, top, left)
        out.append(f'<rect x="{left}" y="{MARGIN}" width="{width}" height="{height}" fill="none" stroke="#888"/>')
        left += width + GAP
    out.append(f'<text x="{MARGIN}" y="{height + MARGIN + 24}">{escape(note)}</text></svg>')
    return "\n".join(out) + "\n"


def _rectangles(landscape: Floats, top: float, left: int) -> list[str]:
    out = []
    for row, levels in enumerate(_levels(landscape, top).tolist()):
        start = 0
        for column in range(1, len(levels) + 1):
            if column == len(levels) or levels[column] != levels[start]:
                if levels[start]:
                    red, green, blue = _colour(levels[start])
                    out.append(
                        f'<rect x="{left + start * CELL}" y="{MARGIN + row * CELL}" '
                        f'width="{(column - start) * CELL}" height="{CELL}" fill="#{red:02x}{green:02x}{blue:02x}"/>'
                    )
                start = column
    return out


def png(landscapes: Sequence[Floats], top: float) -> bytes:
    """The landscapes as a PNG picture without text.

    Its format is 8-bit RGB without filters (https://www.w3.org/TR/png-3/).
    """
    import numpy as np

    colours = np.array([_colour(level) for level in range(LEVELS + 2)], dtype=np.uint8)
    height = max(landscape.shape[0] for landscape in landscapes) * CELL
    parts: list[Pixels] = []
    for landscape in landscapes:
        if parts:
            parts.append(np.full((height, GAP, 3), 255, dtype=np.uint8))
        cells = colours[_levels(landscape, top)].repeat(CELL, axis=0).repeat(CELL, axis=1)
        padded = np.full((height, cells.shape[1], 3), 255, dtype=np.uint8)
        padded[: cells.shape[0]] = cells
        parts.append(padded)
    pixels = np.concatenate(parts, axis=1)
    rows = np.concatenate([np.zeros((height, 1), dtype=np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", pixels.shape[1], height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _levels(landscape: Floats, top: float) -> NDArray[np.int64]:
    """The shade of each cell: LEVELS + 1 for a peak, 0 to LEVELS for all other values."""
    import numpy as np

    share = np.clip(landscape / top, 0.0, 1.0) if top > 0 else np.zeros_like(landscape)
    below = np.minimum((share / PEAK * LEVELS).astype(np.int64), LEVELS)
    levels: NDArray[np.int64] = np.where(share >= PEAK, LEVELS + 1, below)
    return levels


def _colour(level: int) -> tuple[int, int, int]:
    if level > LEVELS:
        return RED
    red, green, blue = (round(cold + (warm - cold) * level / LEVELS) for cold, warm in zip(COLD, WARM, strict=True))
    return red, green, blue
