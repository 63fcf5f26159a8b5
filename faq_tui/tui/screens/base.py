"""The screen of the panes, and the widget that switches the panes. For speed, both draw no background."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher


class BaseScreen(Screen[Any]):
    """A screen that is not redrawn when the focus moves.

    Textual's own screen redraws everything when the focus moves. This screen need not be redrawn, because each widget
    shows by itself that it has the focus.
    """

    BLANK: ClassVar[bool] = True  # the panes cover the whole screen, so Textual need not draw its background
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)


class PaneSwitcher(ContentSwitcher):
    BLANK = True
