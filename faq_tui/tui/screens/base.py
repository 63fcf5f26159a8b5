"""The screen of the panes, and the widget that switches them. Neither of these widgets draws a background."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher


class BaseScreen(Screen[Any]):
    """A screen that is not redrawn when the focus moves.

    Textual's own screen redraws everything when the focus moves. Here the widgets show the focus, so this is not
    necessary.
    """

    BLANK: ClassVar[bool] = True  # the panes cover the whole screen, so Textual need not draw its background
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)


class PaneSwitcher(ContentSwitcher):
    BLANK = True
