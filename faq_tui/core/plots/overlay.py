"""Several curves in one plot, as lines of braille dots. Each curve has its own mark and colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from faq_tui.core.plots.cells import Cell, line
from faq_tui.core.plots.curve import LEAST_HEIGHT, LEAST_WIDTH, _spread

MARKS = ("•", "×", "+", "o", "∗", "#")
COLOURS = ("cyan", "red", "green", "orange", "magenta", "blue")
SGR = {"cyan": "36", "red": "91", "green": "32", "orange": "33", "magenta": "35", "blue": "34"}
SHARED = "⊗"  # mark of a cell that several curves share
LOG_FROM = 20.0  # The axis is logarithmic if (largest value) / (smallest value) is above this number.
MARK_EVERY = 6  # a curve with many points has a mark at most once in this many columns
BRAILLE = 0x2800  # the first of the 256 braille characters
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # the bit of each dot: [row][column]

Points = list[tuple[int, float] | None]  # (index, scaled value); None where the curve has a gap


def mark_of(index: int) -> tuple[str, str]:
    """The mark and the name of the colour of curve number `index`. plotext and Rich use the same names of colours."""
    return MARKS[index % len(MARKS)], COLOURS[index % len(COLOURS)]


def style_of(index: int) -> str:
    """The colour of curve number `index`, as parameters of the terminal's SGR sequence."""
    return SGR[mark_of(index)[1]]


def overlay(
    series: Mapping[str, Sequence[float | None]],
    width: int,
    height: int,
    ticks: Sequence[tuple[int, str]] | None = None,
    log: bool | None = None,
) -> str:
    """Plot each series over its index, in `width` x `height` cells.

    Returns "" if the plot would be too small or no value is finite. Neighbouring values are connected by a line; a
    missing value is a gap. `ticks` are (index, label) pairs for the horizontal axis; by default the labels are the
    indices. If `log` is True, the vertical axis is logarithmic; by default this depends on the values. Marks on the
    lines distinguish the curves even without colours. A cell in which several curves have their marks shows `SHARED`,
    so that no curve hides another. For a legend, `mark_of` returns the mark of a curve.
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
    left = 1 + max((len(text) for _, text in labels), default=0)
    canvas = Canvas(width - left, height - 2, last, low, high)
    for index, values in enumerate(scaled.values()):
        canvas.draw(index, [None if y is None else (x, y) for x, y in enumerate(values)])
    names = {canvas.row(y): text for y, text in labels}
    rows = [
        line([(c, "") for c in f"{names.get(row, ''):>{left - 1}}{'┤' if row in names else '│'}"] + cells)
        for row, cells in enumerate(canvas.rows())
    ]
    places = [(canvas.column(x), text) for x, text in under]
    return "\n".join([*rows, *_below(places, left, width)])


class Canvas:
    """The cells of a plot, without its axes. A cell has 2 x 4 dots."""

    def __init__(self, columns: int, rows: int, last: int, low: float, high: float) -> None:
        """The horizontal axis goes from 0 to `last`, the vertical axis from `low` to `high`."""
        self._columns, self._rows, self._last, self._low, self._high = columns, rows, last, low, high
        self._dots: list[list[dict[int, int]]] = [[{} for _ in range(columns)] for _ in range(rows)]
        self._marks: dict[tuple[int, int], set[int]] = {}

    def column(self, x: float) -> int:
        return self._dot(x, self._last, 2 * self._columns) // 2

    def row(self, y: float) -> int:
        return self._dot(self._high - y, self._high - self._low, 4 * self._rows) // 4

    @staticmethod
    def _dot(distance: float, length: float, dots: int) -> int:
        return min(dots - 1, max(0, round(distance / length * (dots - 1))))

    def draw(self, curve: int, points: Points) -> None:
        """Draw curve number `curve`."""
        before: tuple[int, int] | None = None
        marked = -MARK_EVERY
        crowded = (self._columns - 1) / self._last < MARK_EVERY / 2  # marks at all points would hide the line
        for point in points:
            if point is None:
                before = None
                continue
            x = self._dot(point[0], self._last, 2 * self._columns)
            y = self._dot(self._high - point[1], self._high - self._low, 4 * self._rows)
            self._line(curve, before or (x, y), (x, y))
            before = x, y
            if not crowded or x // 2 >= marked + MARK_EVERY:
                marked = x // 2
                self._marks.setdefault((y // 4, x // 2), set()).add(curve)

    def _line(self, curve: int, start: tuple[int, int], end: tuple[int, int]) -> None:
        steps = max(1, abs(end[0] - start[0]), abs(end[1] - start[1]))
        for step in range(steps + 1):
            x = round(start[0] + (end[0] - start[0]) * step / steps)
            y = round(start[1] + (end[1] - start[1]) * step / steps)
            cell = self._dots[y // 4][x // 2]
            cell[curve] = cell.get(curve, 0) | DOTS[y % 4][x % 2]

    def rows(self) -> list[list[Cell]]:
        return [[self._cell(row, column) for column in range(self._columns)] for row in range(self._rows)]

    def _cell(self, row: int, column: int) -> Cell:
        marks = self._marks.get((row, column), set())
        if len(marks) > 1:
            return SHARED, "0"
        if marks:
            curve = next(iter(marks))
            return mark_of(curve)[0], style_of(curve)
        dots = self._dots[row][column]
        if not dots:
            return " ", ""
        both = 0
        for bits in dots.values():
            both |= bits
        return chr(BRAILLE + both), style_of(next(iter(dots))) if len(dots) == 1 else "0"


def _below(places: Sequence[tuple[int, str]], left: int, width: int) -> tuple[str, str]:
    """The horizontal axis and its labels. A label that would touch the one before it is left out."""
    axis = ["└", *"─" * (width - left)]
    labels = [" "] * width
    free = 0
    for column, text in places:
        start = min(width - len(text), max(0, left + column - len(text) // 2))
        if start >= free:
            axis[1 + column] = "┬"
            labels[start : start + len(text)] = text
            free = start + len(text) + 1
    return " " * (left - 1) + "".join(axis), "".join(labels)


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
