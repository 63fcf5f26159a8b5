"""Draw activations as text, over channels and tokens.

The skyline shows activations as bars, and the map shows them as shades.

The caller sets the scale. Peaks are visible without colour: in the skyline they cross a dashed line, and in the map
they are full blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faq_tui.core.plots.cells import Cell, line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

PEAK = 0.5  # A value above this share of the scale's maximum is a peak.
EIGHTHS = " ▁▂▃▄▅▆▇█"
SHADES = " ·░▒▓"  # characters for values that are not peaks; a peak is drawn as █
SHADE_STYLES = ("", "low", "low", "middle", "high")


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


def heat(landscape: Floats, width: int, height: int, top: float) -> list[str]:
    """A landscape of shape [slices, columns] as a map. The map has `height` lines of `width` shaded characters.

    The first slice is at the top.
    """
    columns = fit(landscape, width)
    cells = fit(columns.T, height).T
    rows = []
    for values in cells:
        row: list[Cell] = []
        for value in values:
            share = min(1.0, float(value) / top) if top > 0 else 0.0
            if share >= PEAK:
                row.append(("█", "peak"))
            else:
                level = min(len(SHADES) - 1, int(share / PEAK * len(SHADES)))
                row.append((SHADES[level], SHADE_STYLES[level]))
        rows.append(line(row))
    return rows


def peaks(landscape: Floats, top: float) -> int:
    """The number of peaks in a landscape. `top` is the end of the scale."""
    return int((landscape >= PEAK * top).sum()) if top > 0 else 0
