"""The base of all dialogs: a box over the panes.

The upper border of the box has a title, and the lower border shows the keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click
from textual.screen import ModalScreen

from faq_tui.tui.widgets.text import plain

T = TypeVar("T")


class Dialog(ModalScreen[T | None]):
    """A dialog in a box. A subclass yields the widgets of the box in `body`.

    If the widgets do not fit on the screen, the box scrolls.

    The first widget that can have the focus gets it. Escape closes the dialog with the result `cancelled`.
    """

    DEFAULT_CSS = (Path(__file__).parent / "dialog.tcss").read_text(encoding="utf-8")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Close")]
    HINT: ClassVar[str] = ""  # the text in the lower border that names the keys
    # True if a click outside the box closes the dialog. Set True only for a dialog that a person can close without
    # losing input.
    CLOSED_BY_CLICK: ClassVar[bool] = False
    cancelled: T | None = None

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self.title = title

    def body(self) -> ComposeResult:
        """The widgets in the box."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title, box.border_subtitle = plain(self.title or "") or None, self.HINT or None
            yield from self.body()

    def action_cancel(self) -> None:
        self.dismiss(self.cancelled)

    def on_click(self, event: Click) -> None:
        if self.CLOSED_BY_CLICK and event.widget is self:
            self.action_cancel()


class TextDialog(Dialog[None]):
    """A dialog with text to read. Keys scroll the text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "cancel", show=False),
        Binding("down,j", "scroll('scroll_down')", show=False),
        Binding("up,k", "scroll('scroll_up')", show=False),
        Binding("pagedown,ctrl+d,space", "scroll('scroll_page_down')", show=False),
        Binding("pageup,ctrl+u", "scroll('scroll_page_up')", show=False),
        Binding("home,g", "scroll('scroll_home')", show=False),
        Binding("end,G", "scroll('scroll_end')", show=False),
    ]
    HINT = "press esc to close, ↓ and ↑ to scroll"
    CLOSED_BY_CLICK = True

    def action_scroll(self, how: str) -> None:
        getattr(self.query_one("#dialog"), how)(animate=False)
