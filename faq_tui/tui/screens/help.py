"""The help screen. It lists all keys; the keys of the visible pane come first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from faq_tui.tui.actions import APP, Action
from faq_tui.tui.keys import keys_of, shown
from faq_tui.tui.pane import PaneSpec


class HelpScreen(ModalScreen[None]):
    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", show=False),
        Binding("j", "scroll('scroll_down')", show=False),
        Binding("k", "scroll('scroll_up')", show=False),
        Binding("ctrl+d,space", "scroll('scroll_page_down')", show=False),
        Binding("ctrl+u", "scroll('scroll_page_up')", show=False),
        Binding("g", "scroll('scroll_home')", show=False),
        Binding("G", "scroll('scroll_end')", show=False),
    ]

    def __init__(
        self, scope: str, actions: Iterable[Action], panes: Iterable[PaneSpec], keymap: Mapping[str, str], config: str
    ) -> None:
        """`scope` is the scope of the visible pane. `actions` are all actions of the app and its panes."""
        super().__init__()
        self._scope, self._actions, self._keymap, self._config = scope, tuple(actions), keymap, config
        self._titles = {APP: "Everywhere", **{pane.scope: pane.title for pane in panes}}

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(self._keys(), markup=False)
            yield Static(f"You can change keys in {self._config}", id="config", markup=False)

    def on_mount(self) -> None:
        box = self.query_one("#help")
        box.border_title, box.border_subtitle = "Keys", "esc closes, ↓ and ↑ scroll"
        box.focus()

    def action_scroll(self, how: str) -> None:
        getattr(self.query_one("#help"), how)(animate=False)

    def _keys(self) -> Table:
        scopes = dict.fromkeys([self._scope, *self._titles])
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(no_wrap=True)
        table.add_column(style="dim")
        for scope in scopes:
            rows = [action for action in self._actions if action.scope == scope]
            if rows:
                table.add_row(Text(self._titles[scope], style="bold underline"))
                for action in rows:
                    table.add_row(self._key(action), Text(action.label), Text(action.help))
                table.add_row()
        return table

    def _key(self, action: Action) -> Text:
        return Text(" ".join(shown(key) for key in keys_of(action, self._keymap)))
