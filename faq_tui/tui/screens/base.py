"""The screen of the panes, and the widget that switches them. Both draw nothing except their children."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher


class BaseScreen(Screen[Any]):
    """A screen that is not redrawn when the focus moves, because the widgets show the focus.

    Textual's screen redraws itself.
    """

    BLANK: ClassVar[bool] = True  # the panes cover the whole screen
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)


class PaneSwitcher(ContentSwitcher):
    BLANK = True
