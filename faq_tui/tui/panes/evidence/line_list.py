"""A list of lines with a cursor, and a box below that explains the selected line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.message import Message

from faq_tui.core.base.text import sanitize
from faq_tui.tui.widgets.flow import BAR, FlowView, wrap
from faq_tui.tui.widgets.list import LineList
from faq_tui.tui.widgets.short import ELLIPSIS

BORDER = 1
LEAST = 3  # minimum height of the list in lines


class Lines(LineList):
    """A list of lines. The pane creates the lines."""

    HEADS = 1

    @dataclass
    class Widened(Message):
        """The lines have a new width in cells."""

        width: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._line: Callable[[int, int], Text] = lambda _row, _width: Text()
        self.width = 0  # width of a line in cells when the list was last visible

    def show(self, count: int, line: Callable[[int, int], Text]) -> None:
        """Show `count` lines.

        `line(index, width)` returns one of the lines. The cursor keeps its index if possible.
        """
        self.count, self._line = count, line
        self.refresh()

    def line(self, index: int, width: int) -> Text:
        return self._line(index, width)

    def show_at(self, cursor: int) -> None:
        """Move the cursor to a line and scroll to it."""
        self.cursor = cursor
        self.into_view()

    @property
    def page(self) -> int:
        """The number of lines that a page key moves: one less than the number of visible lines."""
        return max(1, super().page - 1)

    def on_resize(self) -> None:
        width = self.scrollable_content_region.width
        if width and width != self.width:
            self.width = width
            self.post_message(self.Widened(width))


class Detail(FlowView):
    """The explanation of the selected row.

    The box has the same height for every row, so that the list above stays in place.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._texts: Sequence[str] = ()
        self._most = LEAST + BORDER
        self._text = "", ""
        self._lines = LEAST

    def fit(self, texts: Sequence[str], most: int) -> None:
        """Set the height so that every text in `texts` fits, but at most `most` lines including the border."""
        self._texts, self._most = texts, most
        width = self.size.width - BAR
        if width <= 0:  # the widget has no size yet; `on_resize` calls this method again
            return
        needed = max([LEAST, *(_height(text, width) for text in texts)])
        self._lines = max(1, min(needed, most - BORDER))
        if self.styles.height is None or self.styles.height.value != self._lines + BORDER:
            self.styles.height = self._lines + BORDER

    def say(self, text: str, last: str = "") -> None:
        """Show `text`. If `last` is given, show it as the last line, and shorten `text` so that both fit."""
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
