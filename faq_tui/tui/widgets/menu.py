"""A small list in groups, from which the user chooses one option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from faq_tui.core.base.text import sanitize
from faq_tui.tui.widgets.dialog import Dialog

LONGEST = 200  # maximum number of options in one group
LABEL_CHARACTERS = 60


@dataclass(frozen=True)
class Group:
    """A group of options. `options` maps each value to its label. `chosen` is the current value."""

    name: str
    options: Mapping[str, str]
    chosen: str


class Menu(Dialog[tuple[str, str]]):
    """Choose one option. Returns (name of the group, value), or None if the user cancels."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "cancel", show=False),
        Binding("j", "in_list('cursor_down')", show=False),
        Binding("k", "in_list('cursor_up')", show=False),
        Binding("g", "in_list('first')", show=False),
        Binding("G", "in_list('last')", show=False),
    ]
    HINT = "press enter to choose, esc to close"
    CLOSED_BY_CLICK = True

    def __init__(self, title: str, groups: Sequence[Group]) -> None:
        super().__init__(title)
        self._groups = groups
        self._values: dict[str, tuple[str, str]] = {}

    def body(self) -> ComposeResult:
        yield OptionList(*self._options(), compact=True)

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

    def action_in_list(self, name: str) -> None:
        """Run an action of the list."""
        getattr(self.query_one(OptionList), f"action_{name}")()
