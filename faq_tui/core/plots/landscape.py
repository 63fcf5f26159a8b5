"""Draw activations as text, over channels and tokens.

The skyline shows activations as bars, and the map shows them as colours or shades.

The caller sets the scale. In colours, a character of the map shows two values, one above the other. Without colours,
peaks are visible, too: in the skyline they cross a dashed line, and in the map of shades they are full blocks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from faq_tui.core.plots.cells import Cell, line
from faq_tui.core.plots.colours import LEVELS, colour_of, level_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

PEAK = 0.5  # A value above this share of the scale's maximum is a peak.
EIGHTHS = " ▁▂▃▄▅▆▇█"
SHADES = " ·░▒▓"  # characters for values that are not peaks; a peak is drawn as █
SHADE_STYLES = ("", "low", "low", "middle", "high")
HALF = "▀"  # the foreground colours the upper half of a cell, the background the lower half
LEAST_RAMP, LONGEST_RAMP = 4, 48  # the smallest and the largest width of a legend's colour bar, in cells


def pool(values: Floats, columns: int) -> Floats:
    """Split the last axis into `columns` parts of equal length, and keep the largest value of each part.

    If the axis has fewer than `columns` entries, it is not changed.
    """
    import numpy as np

    length = values.shape[-1]
    if length <= columns:
        return values
    starts = np.arange(columns) * length // columns
    pooled: Floats = np.maximum.reduceat(values, starts, axis=-1)
    return pooled


def stretch(values: Floats, size: int, axis: int) -> Floats:
    """Repeat entries along an axis until the axis has at least `size` entries."""
    import numpy as np

    length = values.shape[axis]
    if length >= size:
        return values
    stretched: Floats = np.take(values, np.arange(size) * length // size, axis=axis)
    return stretched


def fit(values: Floats, columns: int) -> Floats:
    """Resize the last axis to exactly `columns` entries.

    A new entry is the largest of the values that it replaces.
    """
    return stretch(pool(values, columns), columns, -1)


def skyline(values: Floats, width: int, height: int, top: float) -> list[str]:
    """The bars of the channels in `height` lines of text.

    `values` holds the largest |x| of each channel; a bar of full height means `top` or more.
    """
    heights = [min(1.0, float(value) / top) if top > 0 else 0.0 for value in fit(values, width)]
    rows = []
    for row in range(height - 1, -1, -1):
        dashed = row <= PEAK * height < row + 1
        cells: list[Cell] = []
        for share in heights:
            filled = round((share * height - row) * 8)
            if dashed:  # draw the dashed line; only the bars of peaks cross it
                filled = max(1, filled) if share >= PEAK else 0
            style = "peak" if share >= PEAK and row + 1 > PEAK * height else "low"
            if filled <= 0:
                cells.append(("╌", "dim") if dashed else (" ", ""))
            else:
                cells.append((EIGHTHS[min(8, filled)], style))
        rows.append(line(cells))
    return rows


def heat(landscape: Floats, width: int, height: int, top: float, colours: bool = False) -> list[str]:
    """A landscape of shape [slices, columns] as a map. The map has `height` lines of `width` characters.

    The first slice is at the top. With `colours`, a character shows two pixels. Otherwise it is one shade. A pixel
    or shade shows the largest of the values that it stands for, so no peak is lost.
    """
    rows = fit(fit(landscape, width).T, 2 * height if colours else height).T
    shares = [[_share(value, top) for value in values] for values in rows.tolist()]
    if not colours:
        return [line(_shade(share) for share in row) for row in shares]
    pixels = [[level_of(share) for share in row] for row in shares]
    return [
        line((HALF, _two(above, below)) for above, below in zip(*pixels[row : row + 2], strict=True))
        for row in range(0, 2 * height, 2)
    ]


def legend(width: int, top: float, colours: bool = False) -> str:
    """The numbers 0, the smallest peak and the end of the scale, with the scale's colours or shades between them.

    The legend has at most `width` characters. If there is no space for three numbers, the middle one is left out.
    Returns "" if there is no space for two numbers.
    """
    middle, end = f"{PEAK * top:.3g}", f"{top:.3g}"
    room = width - len(f"0  {end}")
    cells = min(LONGEST_RAMP, room - len(f" {middle} ")) // 2 * 2
    if cells >= 2 * LEAST_RAMP:
        marks = _ramp(cells, colours)
        return f"0 {line(marks[: cells // 2])} {middle} {line(marks[cells // 2 :])} {end}"
    return f"0 {line(_ramp(min(LONGEST_RAMP, room), colours))} {end}" if room >= LEAST_RAMP else ""


def _ramp(width: int, colours: bool) -> list[Cell]:
    shares = [(place + 0.5) / width for place in range(width)]
    if not colours:
        return [_shade(share) for share in shares]
    return [(HALF, _two(level_of(share), level_of(share))) for share in shares]


def _share(value: float, top: float) -> float:
    """The value as a share of the scale, 0 to 1."""
    return min(1.0, value / top) if top > 0 else 0.0


def _shade(share: float) -> Cell:
    if share >= PEAK:
        return "█", "peak"
    level = min(len(SHADES) - 1, int(share / PEAK * len(SHADES)))
    return SHADES[level], SHADE_STYLES[level]


@lru_cache(maxsize=LEVELS * LEVELS)
def _two(above: int, below: int) -> str:
    """The parameters of the SGR sequence for a cell with the colours of two levels."""
    return "38;2;{};{};{};48;2;{};{};{}".format(*colour_of(above), *colour_of(below))


def peaks(landscape: Floats, top: float) -> int:
    """The number of peaks in a landscape. `top` is the end of the scale."""
    return int((landscape >= PEAK * top).sum()) if top > 0 else 0
