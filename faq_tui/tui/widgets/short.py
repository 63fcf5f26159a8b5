"""Fit text into a width.

Long names are cut in the middle. An artefact's name begins with the recipe and ends with the set, so both ends must
stay. A line of figures is broken only between two figures.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from textual.reactive import reactive

from faq_tui.core.base.text import sanitize
from faq_tui.tui.widgets.text import LiteralText

ELLIPSIS = "…"


def middle(text: str, width: int) -> str:
    """Sanitized text in at most `width` cells, with an ellipsis in the middle if it is longer."""
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return ELLIPSIS[: max(0, width)]
    tail = width // 2
    head = set_cell_size(text, width - 1 - tail).rstrip(" ")
    start = len(text)
    while start > 0 and cell_len(text[start - 1 :]) <= tail:
        start -= 1
    return f"{head}{ELLIPSIS}{text[start:]}"


def padded(text: str, width: int) -> str:
    """Sanitized text in exactly `width` cells, with an ellipsis in the middle if it is longer."""
    return set_cell_size(middle(text, width), width)


def joined_with_dots(parts: Iterable[str], width: int) -> str:
    """Join the parts with dots, in lines of at most `width` characters. Lines break only between parts."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if lines[-1] and len(longer) > width:
            lines.append(part)
        else:
            lines[-1] = longer
    return "\n".join(lines)


class ShortText(LiteralText):
    """One line of text, such as a name. If the text is wider than the widget, the middle of the text is cut."""

    DEFAULT_CSS = "ShortText { height: 1; text-wrap: nowrap; }"

    whole: reactive[str] = reactive("", repaint=False)

    def validate_whole(self, text: str) -> str:
        return sanitize(text)

    def watch_whole(self) -> None:
        if self.content_size.width:
            self.show(middle(self.whole, self.content_size.width))

    def on_resize(self) -> None:
        self.watch_whole()
