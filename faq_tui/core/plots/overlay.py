"""Several curves in one plot, each with its own mark and colour, drawn by plotext."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import groupby

from faq_tui.core.plots.curve import _ONE_AT_A_TIME, LEAST_HEIGHT, LEAST_WIDTH, _spread

MARKS = ("•", "×", "+", "o", "∗", "#")
COLOURS = ("cyan", "red", "green", "orange", "magenta", "blue")
SHARED = "⊗"  # mark of a cell that several curves share
DEFAULT = "0"  # style of a shared cell, as parameters of the terminal's SGR sequence
LOG_FROM = 20.0  # The axis is logarithmic if (largest value) / (smallest value) is above this number.

Cells = list[list[tuple[str, str]]]


def mark_of(index: int) -> tuple[str, str]:
    """The mark and the name of the colour of curve number `index`. plotext and Rich use the same names of colours."""
    return MARKS[index % len(MARKS)], COLOURS[index % len(COLOURS)]


def overlay(
    series: Mapping[str, Sequence[float | None]],
    width: int,
    height: int,
    ticks: Sequence[tuple[int, str]] | None = None,
    log: bool | None = None,
) -> str:
    """Plot each series over its index, in `width` x `height` cells.

    Returns "" if the plot would be too small or no value is finite. `ticks` are (index, label) pairs for the
    horizontal axis; by default the labels are the indices. If `log` is True, the vertical axis is logarithmic; by
    default this depends on the values. A cell that several curves share shows the mark `SHARED`, so that no curve
    hides another. For a legend, `mark_of` returns the mark of a curve.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return ""
    known = [y for values in series.values() for y in values if y is not None and math.isfinite(y)]
    if not known:
        return ""
    as_log = min(known) > 0 and max(known) > LOG_FROM * min(known) if log is None else log
    scaled = {name: [_scaled(y, as_log) for y in values] for name, values in series.items()}
    heights = [y for values in scaled.values() for y in values if y is not None]
    if not heights:
        return ""
    low, high, labels = _axis(min(heights), max(heights), as_log, max(2, height // 3))
    last = max(1, *(len(values) - 1 for values in series.values()))
    under = ticks if ticks is not None else [(x, str(x)) for x in _spread(0, last, max(2, width // 10))]
    curves = [[(x, y) for x, y in enumerate(values) if y is not None] for values in scaled.values()]

    def draw(index: int) -> Cells:
        """A plot with only one curve.

        The plots of all curves have the same frame, and only the curve has a colour.
        """
        import plotext

        plotext.clear_figure()
        plotext.limit_size(False, False)
        plotext.plot_size(width, height)
        plotext.theme("clear")
        mark, colour = mark_of(index)
        plotext.plot([x for x, _ in curves[index]], [y for _, y in curves[index]], marker=mark, color=colour)
        plotext.ylim(low, high)
        plotext.xlim(0, last)
        plotext.yticks([y for y, _ in labels], [text for _, text in labels])
        plotext.xticks([x for x, _ in under], [text for _, text in under])
        plotext.xaxes(True, False)
        plotext.yaxes(True, False)
        return _cells_of(plotext.build().rstrip("\n"))

    with _ONE_AT_A_TIME:
        plots = [draw(index) for index, points in enumerate(curves) if points]
    return "\n".join(map(_ansi, _laid_over(plots)))


def _cells_of(text: str) -> Cells:
    """Split ANSI text into rows of (character, style).

    The style is the text of the SGR parameters, or "" for the default style.
    """
    rows = []
    for line in text.split("\n"):
        row, style = [], ""
        for sgr, character in re.findall(r"\x1b\[([\d;]*)m|(.)", line):
            if character:
                row.append((character, style))
            else:
                style = "" if sgr == "0" else sgr
        rows.append(row)
    return rows


def _laid_over(plots: Sequence[Cells]) -> Cells:
    """Merge several plots with the same frame into one."""
    whole, *others = plots
    for other in others:
        for row, cells in zip(whole, other, strict=True):
            for column, (mark, style) in enumerate(cells):
                if style:
                    row[column] = (SHARED, DEFAULT) if row[column][1] else (mark, style)
    return whole


def _ansi(row: Sequence[tuple[str, str]]) -> str:
    out = ""
    for style, cells in groupby(row, key=lambda cell: cell[1]):
        text = "".join(character for character, _ in cells)
        out += f"\x1b[{style}m{text}\x1b[0m" if style else text
    return out


def _scaled(value: float | None, as_log: bool) -> float | None:
    if value is None or not math.isfinite(value) or (as_log and value <= 0):
        return None
    return math.log10(value) if as_log else value


def _axis(low: float, high: float, as_log: bool, most: int) -> tuple[float, float, list[tuple[float, str]]]:
    """The ends and the ticks of an axis that covers all values: (lowest, highest, ticks)."""
    if as_log:
        marks = [(math.log10(n) + power, f"{n * 10.0**power:.4g}") for power, n in _decades(low, high)]
        inside = [mark for mark in marks if low <= mark[0] <= high]
        return low, high if high > low else low + 1.0, inside[:: max(1, -(-len(inside) // most))]
    low = min(0.0, low)
    high = high if high > low else low + 1.0
    step = _round_step((high - low) / max(1, most - 1))
    steps = range(math.ceil(low / step), math.floor(high / step * 1.000001) + 1)
    return low, high, [(n * step, f"{n * step:.4g}") for n in steps]


def _decades(low: float, high: float) -> list[tuple[int, int]]:
    """Round numbers in ascending order, such as 1, 2, 5, 10, 20 and 50.

    A number is given as (exponent, digit): for example, (1, 2) is 20. `low` and `high` are logarithms to base 10. The
    first number is at most 10^`low`, and the last number is above 10^`high`.
    """
    return [(power, n) for power in range(math.floor(low), math.ceil(high) + 1) for n in (1, 2, 5)]


def _round_step(step: float) -> float:
    """Round `step` up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)
