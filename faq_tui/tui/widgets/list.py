"""A list of lines with a cursor. Only the lines on the screen are created, so a list of millions of lines opens at
once.

Textual's OptionList and DataTable create all entries before they show the first one. `benchmarks/widgets.py` measures
how long this takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

CURSOR = "▸ "
REVERSE = Style(reverse=True)
T = TypeVar("T")


class LineList(ScrollView, can_focus=False):
    """A list of `count` lines with a cursor on one of them. A subclass draws a line in `line` or `strip`.

    The list never has the focus. The pane has the focus and handles the keys. A click moves the cursor.
    """

    DEFAULT_CSS = (Path(__file__).parent / "list.tcss").read_text(encoding="utf-8")
    COMPONENT_CLASSES = {"list--cursor"}  # noqa: RUF012  Textual reads this name
    # number of heading lines at the top; when the cursor reaches the first line below them, the list scrolls to its
    # top
    HEADS = 0
    # A list keeps a column free for its scrollbar. If True, the cursor's bar also covers this column while the list
    # has no scrollbar.
    TO_THE_EDGE = False
    count: reactive[int] = reactive(0, repaint=False)
    # Do not repaint the whole list: a move of the cursor changes only two lines.
    cursor: reactive[int] = reactive(0, repaint=False)

    @dataclass
    class LineHighlighted(Message):
        """The cursor has moved to another line."""

        index: int

    @dataclass
    class LineClicked(Message):
        """A line was clicked. `again` is true if the cursor was already on this line."""

        index: int
        again: bool

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._top, self._base = 0, Style()  # first visible line, and base style of the lines
        self._width, self._room = 0, 0  # width in cells of the cursor's bar and of a line's text

    def line(self, index: int, width: int) -> Text:
        """One line in at most `width` cells."""
        raise NotImplementedError

    def strip(self, index: int, width: int, base: Style) -> Strip:
        """One line as Textual draws it."""
        return Strip(list(self.line(index, width).render(self.app.console))).apply_style(base)

    def cursor_strip(self, strip: Strip, bar: Style) -> Strip:
        """The line under the cursor, drawn in one colour so that the bar is easy to see."""
        return Strip([Segment(strip.text, bar)])

    @property
    def page(self) -> int:
        """The number of lines on the screen."""
        return max(1, self.scrollable_content_region.height)

    def move(self, by: int) -> None:
        """Move the cursor down by `by` lines, or up if `by` is negative. Stop at the ends of the list."""
        self.cursor += by

    def into_view(self) -> None:
        """Scroll until the cursor is on the screen."""
        row = 0 if self.cursor <= self.HEADS else self.cursor
        self.scroll_to_region(Region(0, row, 1, 1), animate=False, immediate=True, force=True)

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, self.count - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        self.into_view()  # if this call scrolls, all lines are drawn again
        self.refresh_lines(before)
        self.refresh_lines(now)
        self.post_message(self.LineHighlighted(now))

    def watch_count(self) -> None:
        self._resize()
        self.cursor = self.cursor  # this assignment limits the cursor to the new number of lines

    def on_resize(self) -> None:
        self._resize()
        self.into_view()

    def on_click(self, event: Click) -> None:
        index = self.scroll_offset.y + event.y
        if index < self.count:
            again = index == self.cursor
            self.cursor = index
            self.post_message(self.LineClicked(index, again))

    def render_lines(self, crop: Region) -> list[Strip]:
        # Textual searches the widget tree for each of the following values, so read them once and not for each line.
        self._top, self._base = self.scroll_offset.y, self.rich_style
        self._room = self.scrollable_content_region.width
        self._width = self.size.width if self.TO_THE_EDGE else self._room
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        index, width, base = self._top + y, self._width, self._base
        if index >= self.count:
            return Strip.blank(width, base)
        strip = self.strip(index, self._room, base)
        if index == self.cursor:
            base += self.get_component_rich_style("list--cursor")
            strip = self.cursor_strip(strip, base)
        return strip.adjust_cell_length(width, base)

    def _resize(self) -> None:
        # The list never scrolls sideways. A changed width would cause another layout of the screen.
        self.virtual_size = Size(1, self.count)


class QueueList(LineList):
    """A list without a scrollbar. The line under the cursor has a mark, and its colours are reversed."""

    DEFAULT_CSS = "QueueList { scrollbar-size-vertical: 0; scrollbar-gutter: auto; overflow-y: hidden; }"

    def mark(self, index: int) -> str:
        """The mark in the first cells of a line."""
        return CURSOR if index == self.cursor else " " * len(CURSOR)

    def cursor_strip(self, strip: Strip, bar: Style) -> Strip:  # noqa: ARG002
        return strip.adjust_cell_length(self._width, self._base).apply_style(REVERSE)


def index_of(entry: T | None, entries: Sequence[T], otherwise: int) -> int:
    """The new index of the cursor after the entries were read again.

    If `entry` is in `entries`, return its index. If `entry` is missing, return the valid index that is nearest to
    `otherwise`. If `entries` is empty, return -1.
    """
    if entry is not None and entry in entries:
        return entries.index(entry)
    return min(max(otherwise, 0), len(entries) - 1)
