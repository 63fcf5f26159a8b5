"""Names that do not fit lose their middle: of a model's name the beginning tells the recipe, the end the set."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from faq_tui.core.base.text import sanitize
from faq_tui.tui.widgets.text import LiteralText

ELLIPSIS = "…"


def middle(text: str, width: int) -> str:
    """At most `width` cells of sanitized text; the end keeps as much as the beginning, or one cell more."""
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
    """Exactly `width` cells, without its middle if need be."""
    return set_cell_size(middle(text, width), width)


class ShortText(LiteralText):
    """One line, a name for instance, that is shortened in the middle to whatever width it has."""

    DEFAULT_CSS = "ShortText { height: 1; text-wrap: nowrap; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._whole = ""

    def show_whole(self, text: str) -> None:
        """`text`, as much of it as there is room for."""
        self._whole = sanitize(text)
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        if self.content_size.width:
            self.show(middle(self._whole, self.content_size.width))
