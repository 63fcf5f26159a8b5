"""Figures of landscapes for papers: as a heat map, and as a surface in three dimensions.

A figure shows one panel for each set, side by side with the same scale, with a title, axes and a legend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from faq_tui.core.plots.colours import LEVELS, Rgb, colour_of, level_of, mixed
from faq_tui.core.plots.figure import INK, PALE, Figure, Label, Polygon, Stroke
from faq_tui.core.plots.landscape import pool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

CHANNEL, TOKEN, VALUE = "channel", "token, in the order of the set", "|x|"
TICKS = 4  # an axis has this many equal steps
TOP, BOTTOM, LEFT, GAP, LEGEND = 84, 58, 76, 84, 96  # in pixels: margins, gap between panels, width of the legend
MAP_WIDTH, MAP_HEIGHT = 512, 384
BAR = 16  # width of the legend's bar

# The surface: its grid, the direction from which it is seen, and the height of its vertical axis. The other two axes
# have the length 1.
SURFACE_TOKENS, SURFACE_CHANNELS = 48, 72
TURN, TILT, UP = math.radians(38), math.radians(27), 0.52
SURFACE_WIDTH, SURFACE_HEIGHT = 650, 470
SIZE = 372  # in pixels: the length of an axis
EDGE = 0.4  # width of the line around a patch


@dataclass(frozen=True)
class Panel:
    """The landscape of one set: [slices, columns], each value the largest |x| of its tokens and channels."""

    name: str
    cells: Floats
    tokens: int
    channels: int


def heat_figure(title: str, panels: Sequence[Panel], top: float) -> Figure:
    """A heat map for each panel. `top` is the end of the scale."""
    width = LEFT + len(panels) * (MAP_WIDTH + GAP) - GAP + LEGEND
    figure = Figure(title, width, TOP + MAP_HEIGHT + BOTTOM)
    figure.shapes.append(Label(LEFT, 34, title, 18, bold=True))
    for number, panel in enumerate(panels):
        left = LEFT + number * (MAP_WIDTH + GAP)
        figure.shapes.append(Label(left, TOP - 14, _heading(panel), 14))
        _cells(figure, panel.cells, top, left)
        figure.rectangle(left, TOP, MAP_WIDTH, MAP_HEIGHT, None, INK)
        for step in range(TICKS + 1):
            x, y = left + MAP_WIDTH * step / TICKS, TOP + MAP_HEIGHT * step / TICKS
            bottom = TOP + MAP_HEIGHT
            figure.shapes += [Stroke((x, bottom), (x, bottom + 5)), Stroke((left - 5, y), (left, y))]
            figure.shapes.append(Label(x, bottom + 19, _tick(panel.channels, step), 12, "middle"))
            figure.shapes.append(Label(left - 8, y + 4, _tick(panel.tokens, step), 12, "end"))
        figure.shapes.append(Label(left + MAP_WIDTH / 2, TOP + MAP_HEIGHT + 42, CHANNEL, 13, "middle"))
        figure.shapes.append(Label(left - 54, TOP + MAP_HEIGHT / 2, TOKEN, 13, "middle", turned=True))
    _legend(figure, width - LEGEND + 24, TOP, MAP_HEIGHT, top)
    return figure


def surface_figure(title: str, panels: Sequence[Panel], top: float) -> Figure:
    """A surface in three dimensions for each panel. `top` is the end of the scale, and of the vertical axis.

    The grid of the surface is coarser than the landscape. Each point of the grid is the largest value around this
    point.
    """
    width = len(panels) * SURFACE_WIDTH + LEGEND
    figure = Figure(title, width, TOP + SURFACE_HEIGHT)
    figure.shapes.append(Label(36, 34, title, 18, bold=True))
    for number, panel in enumerate(panels):
        middle = SURFACE_WIDTH * (number + 0.5) + 8
        figure.shapes.append(Label(middle, TOP - 14, _heading(panel), 14, "middle"))
        _Surface(figure, panel, top, middle, TOP + SURFACE_HEIGHT * 0.64).draw()
    _legend(figure, width - LEGEND + 12, TOP + 60, 300, top)
    return figure


def _heading(panel: Panel) -> str:
    return f"{panel.name}: highest {VALUE} {float(panel.cells.max()):.4g}, {panel.tokens:,} tokens"


def _tick(count: int, step: int) -> str:
    """The label of tick number `step` on an axis for `count` channels or tokens, which are numbered from 0."""
    return str(step * (count - 1) // TICKS)


def _cells(figure: Figure, cells: Floats, top: float, left: float) -> None:
    """Draw neighbouring cells of a row as one rectangle if they have the same colour.

    Cells of level 0 are not drawn, because the background has their colour.
    """
    slices, columns = cells.shape
    high, wide = MAP_HEIGHT / slices, MAP_WIDTH / columns
    figure.rectangle(left, TOP, MAP_WIDTH, MAP_HEIGHT, colour_of(0))
    found: dict[int, list[tuple[int, int, int]]] = {}  # maps a level to (row, first column, number of columns)
    for row, values in enumerate(cells.tolist()):
        column = 0
        for level, run in groupby(level_of(value / top) if top > 0 else 0 for value in values):
            length = len(list(run))
            found.setdefault(level, []).append((row, column, length))
            column += length
    for level in sorted(found.keys() - {0}):
        for row, column, length in found[level]:
            figure.rectangle(left + column * wide, TOP + row * high, length * wide, high, colour_of(level))


def _legend(figure: Figure, left: float, top: float, height: float, end: float) -> None:
    """A bar with the colours from 0 (below) to `end` (above)."""
    figure.shapes.append(Label(left, top - 14, VALUE, 14))
    for level in range(LEVELS):
        y = top + height * (LEVELS - 1 - level) / LEVELS
        figure.rectangle(left, y, BAR, height / LEVELS, colour_of(level))
    figure.rectangle(left, top, BAR, height, None, INK)
    for step in range(TICKS + 1):
        y = top + height * (1 - step / TICKS)
        figure.shapes.append(Stroke((left + BAR, y), (left + BAR + 5, y)))
        figure.shapes.append(Label(left + BAR + 9, y + 4, f"{end * step / TICKS:.3g}", 12))


class _Surface:
    """Draws one panel. A point of the surface has a channel, a token and a value, each from 0 to 1."""

    def __init__(self, figure: Figure, panel: Panel, top: float, x: float, y: float) -> None:
        """(x, y) is the position of the middle of the ground in the figure."""
        self._figure, self._panel, self._top, self._x, self._y = figure, panel, top, x, y
        cells = pool(pool(panel.cells.T, SURFACE_TOKENS).T, SURFACE_CHANNELS)
        self._grid = [[min(1.0, value / top) if top > 0 else 0.0 for value in row] for row in cells.tolist()]

    def _at(self, channel: float, token: float, value: float) -> tuple[float, float]:
        across, along = channel - 0.5, token - 0.5
        x = across * math.cos(TURN) + along * math.sin(TURN)
        y = value * UP * math.cos(TILT) + self._depth(channel, token) * math.sin(TILT)
        return self._x + SIZE * x, self._y - SIZE * y

    @staticmethod
    def _depth(channel: float, token: float) -> float:
        """The distance from the viewer."""
        return (token - 0.5) * math.cos(TURN) - (channel - 0.5) * math.sin(TURN)

    def draw(self) -> None:
        self._walls()
        self._patches()
        self._axes()

    def _walls(self) -> None:
        """The ground and the two walls behind the surface, with a line at each tick."""
        for step in range(TICKS + 1):
            share = step / TICKS
            for start, end in (
                ((share, 0, 0), (share, 1, 0)),
                ((0, share, 0), (1, share, 0)),
                ((0, 0, share), (0, 1, share)),
                ((0, 1, share), (1, 1, share)),
                ((0, share, 0), (0, share, 1)),
                ((share, 1, 0), (share, 1, 1)),
            ):
                self._figure.shapes.append(Stroke(self._at(*start), self._at(*end), PALE))

    def _patches(self) -> None:
        """The patches between the points of the grid. The nearest patches are drawn last."""
        rows, columns = len(self._grid) - 1, len(self._grid[0]) - 1
        if rows < 1 or columns < 1:
            return
        order = [(row, column) for row in range(rows) for column in range(columns)]
        order.sort(key=lambda at: -self._depth(at[1] / columns, at[0] / rows))
        for row, column in order:
            corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
            values = [self._grid[at_row][at_column] for at_row, at_column in corners]
            colour = colour_of(level_of(max(values)))
            points = tuple(
                self._at(at_column / columns, at_row / rows, value)
                for (at_row, at_column), value in zip(corners, values, strict=True)
            )
            self._figure.shapes.append(Polygon(points, colour, _edge(colour), EDGE))

    def _axes(self) -> None:
        panel, shapes = self._panel, self._figure.shapes
        left, front, right = self._at(0, 0, 0), self._at(1, 0, 0), self._at(1, 1, 0)
        shapes += [Stroke(left, front), Stroke(front, right), Stroke(left, self._at(0, 0, 1))]
        for step in range(TICKS + 1):
            share = step / TICKS
            x, y = self._at(share, 0, 0)
            shapes += [Stroke((x, y), (x - 4, y + 4)), Label(x - 6, y + 16, _tick(panel.channels, step), 11, "end")]
            x, y = self._at(1, share, 0)
            shapes += [Stroke((x, y), (x + 5, y + 3)), Label(x + 8, y + 14, _tick(panel.tokens, step), 11)]
            x, y = self._at(0, 0, share)
            shapes.append(Stroke((x, y), (x - 5, y)))
            if step:
                shapes.append(Label(x - 8, y + 4, self._value(share), 11, "end"))
        x, y = self._at(0.5, 0, 0)
        shapes.append(Label(x - 34, y + 44, CHANNEL, 13, "end"))
        x, y = self._at(1, 0.5, 0)
        shapes.append(Label(x + 30, y + 48, "token", 13))
        x, y = self._at(0, 0, 1)
        shapes.append(Label(x - 4, y - 10, VALUE, 13, "end"))

    def _value(self, share: float) -> str:
        return f"{self._top * share:.3g}"


def _edge(colour: Rgb) -> Rgb:
    return mixed(colour, (0, 0, 0), 0.35)
