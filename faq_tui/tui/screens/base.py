"""The screen of the panes and the switcher between them. Neither draws anything but its children."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher


class BaseScreen(Screen[Any]):
    """Does not draw itself again when the focus moves, as Textual's screen does: the widgets show the focus."""

    BLANK: ClassVar[bool] = True  # the panes cover it
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)


class PaneSwitcher(ContentSwitcher):
    BLANK = True
