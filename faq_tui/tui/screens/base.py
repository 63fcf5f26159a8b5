"""The screen of the panes, and what switches between them: they cost nothing but what lies on them."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher


class BaseScreen(Screen[Any]):
    """Textual would draw every cell of it again whenever the focus moves; the widgets that show the focus do."""

    BLANK: ClassVar[bool] = True  # the panes cover it
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)


class PaneSwitcher(ContentSwitcher):
    BLANK = True
