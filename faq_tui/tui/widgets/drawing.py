"""A widget that shows lines of ANSI text as they are. The widget draws thousands of coloured cells quickly."""

from __future__ import annotations

import re
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

SGR = re.compile(r"\x1b\[([\d;]*)m")


def strips_of(text: str) -> list[Strip]:
    """The lines of `text`, each as a Strip.

    `text` holds no control characters other than line breaks and escape sequences for styles. A style ends at the
    end of its line. This function may run on any thread.
    """
    return [Strip(_segments(line)) for line in text.split("\n")]


def _segments(line: str) -> list[Segment]:
    parts = SGR.split(line)  # text, parameters, text, parameters, …
    segments = [Segment(parts[0])] if parts[0] else []
    segments += [Segment(text, _style(sgr)) for sgr, text in zip(parts[1::2], parts[2::2], strict=True) if text]
    return segments


@lru_cache(maxsize=4096)
def _style(sgr: str) -> Style:
    spans = Text.from_ansi(f"\x1b[{sgr}m-").spans
    style = spans[0].style if spans else ""
    return Style.parse(style) if isinstance(style, str) else style


class DrawingView(Widget, can_focus=False):
    """Shows strips, one for each line, from the top left corner. Longer lines are cut."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []

    def show(self, strips: list[Strip]) -> None:
        self._strips = strips
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if y >= len(self._strips):
            return Strip.blank(width, base)
        return self._strips[y].apply_style(base).adjust_cell_length(width, base)
