"""Points in a plane as text, each with its own mark, drawn by plotext."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from faq_tui.core.plots.curve import _ONE_AT_A_TIME, LEAST_HEIGHT, LEAST_WIDTH
from faq_tui.core.plots.overlay import _round_step

AXES = 12, 4  # cells reserved for the frame and the ticks (width, height); plotext needs fewer cells
APART = 1.1  # two points with at least this distance, in cells, do not overlap
SMALLEST_SPREAD = 1e-290
MARGIN = 0.08  # share of the range that stays empty at each end


@dataclass(frozen=True)
class Point:
    """A point of the plot. `mark` is one character, and `colour` is the name that plotext gives to a colour."""

    x: float
    y: float
    mark: str
    colour: str


def scatter(
    points: Sequence[Point],
    width: int,
    height: int,
    label_x: Callable[[float], str] = "{:.4g}".format,
    label_y: Callable[[float], str] = "{:.4g}".format,
) -> str:
    """Plot the points in `width` x `height` cells. Returns "" if the plot would be too small or no point is finite.

    If another point is already in a point's cell, the point moves to the nearest free cell.
    """
    known = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y)]
    if width < LEAST_WIDTH or height < LEAST_HEIGHT or not known:
        return ""
    import plotext

    left, right = _ends([point.x for point in known])
    low, high = _ends([point.y for point in known])
    step = (right - left) / max(1, width - AXES[0]), (high - low) / max(1, height - AXES[1])
    ticks_x, ticks_y = _ticks(left, right, max(2, width // 16)), _ticks(low, high, max(2, height // 4))
    with _ONE_AT_A_TIME:
        plotext.clear_figure()
        plotext.limit_size(False, False)
        plotext.plot_size(width, height)
        plotext.theme("clear")
        for point, x, y in _apart(known, left, right, step):
            plotext.scatter([x], [y], marker=point.mark, color=point.colour)
        plotext.xlim(left, right)
        plotext.ylim(low, high)
        plotext.xticks(ticks_x, [label_x(tick) for tick in ticks_x])
        plotext.yticks(ticks_y, [label_y(tick) for tick in ticks_y])
        plotext.xaxes(True, False)
        plotext.yaxes(True, False)
        return str(plotext.build()).rstrip("\n")


def _apart(
    points: Sequence[Point], left: float, right: float, step: tuple[float, float]
) -> list[tuple[Point, float, float]]:
    """Returns (point, x, y) for each point, where (x, y) is the place at which the point is drawn.

    If the cell of a point is occupied, the point moves to a free cell. If there is no free cell, the point stays
    where it is. `step` is the width and the height of a cell, in the units of x and y. `step` may be slightly
    larger than a real cell.
    """
    placed: list[tuple[Point, float, float]] = []
    for point in points:
        shifts = (sign * n * APART * step[0] for n in range(len(points) + 1) for sign in (1, -1))
        free = [
            x
            for x in (point.x + shift for shift in shifts)
            if left <= x <= right
            and all(abs(x - a) >= APART * step[0] or abs(point.y - b) >= APART * step[1] for _, a, b in placed)
        ]
        placed.append((point, free[0] if free else point.x, point.y))
    return placed


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis, with a margin at each end.

    The margin is `MARGIN` times the range of the values. If the range is almost 0, the margin is `MARGIN` times
    |max(values)|. If |max(values)| is almost 0, too, the margin is `MARGIN`.
    """
    spread = next((width for width in (max(values) - min(values), abs(max(values))) if width > SMALLEST_SPREAD), 1.0)
    return min(values) - MARGIN * spread, max(values) + MARGIN * spread


def _ticks(low: float, high: float, most: int) -> list[float]:
    """The ticks of an axis from `low` to `high`: round numbers, at most `most` + 1 of them."""
    step = _round_step((high - low) / most)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
