"""A small list in groups, from which the user chooses one option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from faq_tui.core.base.text import sanitize
from faq_tui.tui.widgets.text import LiteralText

LONGEST = 200  # maximum number of options in one group
LABEL_CHARACTERS = 60


@dataclass(frozen=True)
class Group:
    """A group of options. `options` maps each value to its label. `chosen` is the current value."""

    name: str
    options: Mapping[str, str]
    chosen: str


class Menu(ModalScreen[tuple[str, str] | None]):
    """Choose one option. Returns (name of the group, value), or None if the user cancels."""

    CSS_PATH = "menu.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
        Binding("j", "move(1)", "Down"),
        Binding("k", "move(-1)", "Up"),
        Binding("g", "edge('first')", "First"),
        Binding("G", "edge('last')", "Last"),
    ]

    def __init__(self, title: str, groups: Sequence[Group]) -> None:
        super().__init__()
        self._title, self._groups = title, groups
        self._values: dict[str, tuple[str, str]] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="menu"):
            yield LiteralText(self._title, classes="title")
            yield OptionList(*self._options())
            yield LiteralText("enter choose   esc close", classes="hint")

    def on_mount(self) -> None:
        chosen = [key for key, pair in self._values.items() if self._chosen(*pair)]
        if chosen:
            options = self.query_one(OptionList)
            options.highlighted = options.get_option_index(chosen[0])

    def _options(self) -> list[Option]:
        options = []
        for group in self._groups:
            if group.name:
                options.append(Option(Text(group.name, "bold"), disabled=True))
            for value, label in list(group.options.items())[:LONGEST]:
                key = f"option-{len(self._values)}"
                self._values[key] = (group.name, value)
                mark = "● " if value == group.chosen else "  "
                options.append(Option(Text(mark + sanitize(label, LABEL_CHARACTERS)), id=key))
            if len(group.options) > LONGEST:
                options.append(Option(Text(f"  and {len(group.options) - LONGEST} more"), disabled=True))
        return options

    def _chosen(self, name: str, value: str) -> bool:
        return any(group.name == name and group.chosen == value for group in self._groups)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._values.get(event.option_id or ""))

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_move(self, step: int) -> None:
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_edge(self, edge: str) -> None:
        options = self.query_one(OptionList)
        if edge == "first":
            options.action_first()
        else:
            options.action_last()
