"""A list of lines with a cursor; only those on the screen are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.segment import Segment
from rich.text import Text
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip


class Lines(ScrollView, can_focus=False):
    """The keys are the pane's."""

    COMPONENT_CLASSES = {"evidence--cursor"}  # noqa: RUF012  Textual's own name for it
    cursor: reactive[int] = reactive(0, repaint=False)  # two lines change

    @dataclass
    class Moved(Message):
        index: int

    @dataclass
    class Pressed(Message):
        """The line under the cursor was clicked once more."""

        index: int

    @dataclass
    class Widened(Message):
        """The lines have another width now."""

        width: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._count = 0
        self._line: Callable[[int, int], Text] = lambda _row, _width: Text()
        self.width = 0  # of a line, as it was when it was last on the screen

    def show(self, count: int, line: Callable[[int, int], Text]) -> None:
        """Replace all by `count` lines, which `line` makes of row and width; the cursor stays as far as it can."""
        self._count, self._line = count, line
        # It never scrolls sideways; a width that changes would ask for another layout of the screen.
        self.virtual_size = Size(1, self._count)
        self.cursor = max(0, min(self.cursor, self._count - 1))
        self.refresh()

    def show_at(self, cursor: int) -> None:
        """Go to a line, and have it in sight."""
        self.cursor = max(0, min(cursor, self._count - 1))
        self.into_view()

    @property
    def page(self) -> int:
        """Rows on the screen, but one."""
        return max(1, self.scrollable_content_region.height - 1)

    def move(self, by: int) -> None:
        self.cursor = max(0, min(self.cursor + by, self._count - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        self.into_view()
        self.refresh_lines(before)
        self.refresh_lines(now)
        self.post_message(self.Moved(now))

    def into_view(self) -> None:
        """Scroll to the cursor; with the first lines the top comes along."""
        row = 0 if self.cursor <= 1 else self.cursor
        self.scroll_to_region(Region(0, row, 1, 1), animate=False, immediate=True, force=True)

    def on_resize(self) -> None:
        self.virtual_size = Size(1, self._count)
        self.into_view()
        width = self.scrollable_content_region.width
        if width and width != self.width:
            self.width = width
            self.post_message(self.Widened(width))

    def on_click(self, event: Click) -> None:
        index = self.scroll_offset.y + event.y
        if index >= self._count:
            return
        if index == self.cursor:
            self.post_message(self.Pressed(index))
        self.cursor = index

    def render_line(self, y: int) -> Strip:
        # Of what lies under the scrollbar's column nothing is seen.
        index, width, base = self.scroll_offset.y + y, self.scrollable_content_region.width, self.rich_style
        if index >= self._count:
            return Strip.blank(width, base)
        shown = self._line(index, width)
        if index == self.cursor:  # one colour: the bar must be read at a glance
            style = base + self.get_component_rich_style("evidence--cursor")
            return Strip([Segment(shown.plain, style)]).adjust_cell_length(width, style)
        return Strip(list(shown.render(self.app.console))).adjust_cell_length(width, base).apply_style(base)
