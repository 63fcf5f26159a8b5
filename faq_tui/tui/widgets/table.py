"""The columns of all tables. A cell has a fixed width and a gap before it; an ellipsis shows where a text is cut.

A `LineList` makes a line with these columns only when it draws the line. Textual's DataTable needs all rows before it
draws the first one. `benchmarks/widgets.py` compares both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from faq_tui.core.base.text import sanitize
from faq_tui.tui.widgets.short import ELLIPSIS, middle

Cell = tuple[str, str]  # (text, style)


@dataclass(frozen=True)
class Column:
    """`name` is the heading of the column. `width` is in cells, without the gap.

    If `width` is 0, a text is neither cut nor padded. `filled` can set the width of a column with width 0.
    """

    name: str = ""
    width: int = 0
    right: bool = False
    gap: int = 0  # cells before the column
    cut: Literal["start", "middle", "end"] = "end"  # where a text is cut if it is longer than the column


@lru_cache(maxsize=64)
def filled(columns: tuple[Column, ...], width: int, least: int = 1) -> tuple[Column, ...]:
    """The columns for a line of `width` cells.

    The column without a width gets all cells that the other columns leave, but at least `least` cells.
    """
    rest = max(least, width - sum(column.gap + column.width for column in columns))
    return tuple(column if column.width else replace(column, width=rest) for column in columns)


def fitted(text: str, column: Column) -> str:
    """Sanitize the text, and fit it into exactly `column.width` cells if the column has a width."""
    width = column.width
    text = sanitize(text, 4 * width if width and column.cut == "end" else None)
    if width and cell_len(text) > width:
        if column.cut == "middle":
            return set_cell_size(middle(text, width), width)
        if column.cut == "start":
            return set_cell_size(ELLIPSIS + text[len(text) - width + 1 :], width)
        return set_cell_size(text, width - 1) + ELLIPSIS
    padding = " " * (width - cell_len(text))
    return padding + text if column.right else text + padding


def row(columns: Iterable[Column], cells: Iterable[Cell]) -> Text:
    """One line with a cell for each column."""
    line = Text(no_wrap=True, end="")
    for column, (text, style) in zip(columns, cells, strict=True):
        line.append(" " * column.gap + fitted(text, column), style)
    return line


def row_strip(columns: Iterable[Column], cells: Iterable[Cell], base: Style) -> Strip:
    """The line that `row` makes, as a Strip. Textual can draw a Strip directly, so this is faster than `row`."""
    segments = []
    for column, (text, style) in zip(columns, cells, strict=True):
        segments.append(Segment(" " * column.gap, base))
        segments.append(Segment(fitted(text, column), base + Style.parse(style) if style else base))
    return Strip(segments)


def head(columns: Iterable[Column], style: str = "") -> Text:
    """The line with the names of the columns."""
    columns = tuple(columns)
    line = row(columns, ((column.name, "") for column in columns))
    line.style = style
    return line
