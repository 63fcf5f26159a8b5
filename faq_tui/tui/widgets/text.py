"""The one way in which text from models, files and servers reaches the screen."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from faq_tui.core.literal import literal


def plain(text: str, style: str = "", limit: int | None = None) -> Text:
    """Literal text: no markup, no control or bidi characters; newlines stay."""
    return Text(literal(text, limit, newlines=True), style=style)


class LiteralText(Static):
    """A Static that never parses markup."""

    def __init__(self, text: str | Text = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(plain(text) if isinstance(text, str) else text, markup=False, id=id, classes=classes)

    def show(self, text: str | Text) -> None:
        self.update(plain(text) if isinstance(text, str) else text)
