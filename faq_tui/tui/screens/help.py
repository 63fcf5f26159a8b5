"""The help screen. The screen lists all keys. The keys of the visible pane come first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from faq_tui.tui.actions import APP, Action
from faq_tui.tui.keys import keys_of, shown
from faq_tui.tui.pane import PaneSpec
from faq_tui.tui.widgets.dialog import TextDialog


class HelpScreen(TextDialog):
    DEFAULT_CSS = """
    HelpScreen > #dialog { width: 100; }
    HelpScreen Static { width: 1fr; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "cancel", show=False)]

    def __init__(
        self, scope: str, actions: Iterable[Action], panes: Iterable[PaneSpec], keymap: Mapping[str, str], config: str
    ) -> None:
        """`scope` is the scope of the visible pane. `actions` are all actions of the app and its panes."""
        super().__init__("Keys")
        self._scope, self._actions, self._keymap, self._config = scope, tuple(actions), keymap, config
        self._titles = {APP: "Everywhere", **{pane.scope: pane.title for pane in panes}}

    def body(self) -> ComposeResult:
        yield Static(self._keys(), markup=False)
        yield Static(f"You can change keys in {self._config}", classes="hint", markup=False)

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
