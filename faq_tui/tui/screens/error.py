"""A dialog with the whole text of the last errors. Elsewhere, a long text may be cut."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from faq_tui.tui.widgets.dialog import TextDialog
from faq_tui.tui.widgets.text import LiteralText


class ErrorScreen(TextDialog):
    """Shows the errors, the newest first. `y` copies the text."""

    DEFAULT_CSS = """
    ErrorScreen > #dialog { width: 100; padding: 1 2; }
    ErrorScreen .error { width: 1fr; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", show=False),
        Binding("exclamation_mark", "cancel", show=False),
    ]
    HINT = "press y to copy, esc to close, ↓ and ↑ to scroll"

    class Copy(Message):
        """The person wants to copy the text."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("Last error" if len(errors) == 1 else f"Last {len(errors)} errors")
        self._text = "\n\n".join(errors)

    def body(self) -> ComposeResult:
        yield LiteralText(self._text, classes="error")

    def action_copy(self) -> None:
        self.post_message(self.Copy(self._text))
