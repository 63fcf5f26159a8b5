"""A prompt for one line of text at the bottom of the screen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Input

from faq_tui.tui.widgets.dialog import Dialog
from faq_tui.tui.widgets.line_input import LineInput

LONGEST = 500  # maximum number of characters


class Ask(Dialog[str]):
    """Returns the text, or None if the user cancels."""

    DEFAULT_CSS = """
    Ask { align: center bottom; background: transparent; }
    Ask > #dialog { width: 100%; padding: 0 1; }
    """
    HINT = "press enter to keep the text, esc to close"

    def __init__(self, prompt: str, value: str = "") -> None:
        super().__init__(prompt)
        self._value = value

    def body(self) -> ComposeResult:
        yield LineInput(self._value, max_length=LONGEST, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)
