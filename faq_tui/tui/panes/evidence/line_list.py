"""A list of lines with a cursor, and a box below that explains the selected line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.text import Text
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from faq_tui.core.base.text import sanitize
from faq_tui.tui.widgets.flow import BAR, FlowView, wrap
from faq_tui.tui.widgets.short import ELLIPSIS

BORDER = 1
LEAST = 3  # lines


class Lines(ScrollView, can_focus=False):
    """Creates only the visible lines. The pane handles the keys."""

    COMPONENT_CLASSES = {"evidence--cursor"}  # noqa: RUF012  Textual's own name for it
    cursor: reactive[int] = reactive(0, repaint=False)  # moving the cursor changes only two lines

    @dataclass
    class LineHighlighted(Message):
        index: int

    @dataclass
    class LinePressed(Message):
        """The user clicked the line that is already selected."""

        index: int

    @dataclass
    class Widened(Message):
        """The lines have a new width in cells."""

        width: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._count = 0
        self._line: Callable[[int, int], Text] = lambda _row, _width: Text()
        self.width = 0  # width of a line in cells when the list was last visible

    def show(self, count: int, line: Callable[[int, int], Text]) -> None:
        """Show `count` lines. `line` creates a line from its index and a width. The cursor keeps its index if
        possible."""
        self._count, self._line = count, line
        # It never scrolls sideways. A changed width would cause another layout of the screen.
        self.virtual_size = Size(1, self._count)
        self.cursor = max(0, min(self.cursor, self._count - 1))
        self.refresh()

    def show_at(self, cursor: int) -> None:
        """Move the cursor to a line and scroll to it."""
        self.cursor = max(0, min(cursor, self._count - 1))
        self.into_view()

    @property
    def page(self) -> int:
        """The lines that a page key moves: one less than the visible lines."""
        return max(1, self.scrollable_content_region.height - 1)

    def move(self, by: int) -> None:
        self.cursor = max(0, min(self.cursor + by, self._count - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        self.into_view()
        self.refresh_lines(before)
        self.refresh_lines(now)
        self.post_message(self.LineHighlighted(now))

    def into_view(self) -> None:
        """Scroll until the cursor is visible. Near the top, scroll to the first line."""
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
            self.post_message(self.LinePressed(index))
        self.cursor = index

    def render_line(self, y: int) -> Strip:
        # Lines end before the column of the scrollbar.
        index, width, base = self.scroll_offset.y + y, self.scrollable_content_region.width, self.rich_style
        if index >= self._count:
            return Strip.blank(width, base)
        shown = self._line(index, width)
        if index == self.cursor:  # use one colour for the selected line, so that it is easy to see
            style = base + self.get_component_rich_style("evidence--cursor")
            return Strip([Segment(shown.plain, style)]).adjust_cell_length(width, style)
        return Strip(list(shown.render(self.app.console))).adjust_cell_length(width, base).apply_style(base)


class Detail(FlowView):
    """The explanation of the selected row. Its height is the same for all rows, so that the list above does not
    move."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._texts: Sequence[str] = ()
        self._most = LEAST + BORDER
        self._text = "", ""
        self._lines = LEAST

    def fit(self, texts: Sequence[str], most: int) -> None:
        """Set a height that fits every text in `texts`, but at most `most` lines with the border."""
        self._texts, self._most = texts, most
        width = self.size.width - BAR
        if width <= 0:  # not laid out yet: `on_resize` calls this again
            return
        needed = max([LEAST, *(_height(text, width) for text in texts)])
        self._lines = max(1, min(needed, most - BORDER))
        if self.styles.height is None or self.styles.height.value != self._lines + BORDER:
            self.styles.height = self._lines + BORDER

    def say(self, text: str, last: str = "") -> None:
        """Show `text`. If there is a `last` line, shorten `text` until the last line fits below it."""
        self._text = text, last
        width = self.size.width - BAR
        if last and width > 0:
            text = f"{_shortened(text, width, max(1, self._lines - 1))}\n{last}"
        self.show([(text, "")])

    def on_resize(self) -> None:
        self.fit(self._texts, self._most)
        self.say(*self._text)


def _height(text: str, width: int) -> int:
    return sum(len(wrap(paragraph, width)) for paragraph in sanitize(text, newlines=True).split("\n"))


def _shortened(text: str, width: int, lines: int) -> str:
    """The first `lines` lines of wrapped text, with an ellipsis if more lines follow."""
    wrapped = wrap(sanitize(text), width)
    if len(wrapped) <= lines:
        return text
    return "\n".join([*wrapped[: lines - 1], f"{wrapped[lines - 1][: width - 1].rstrip()}{ELLIPSIS}"])
