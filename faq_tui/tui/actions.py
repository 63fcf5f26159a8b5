"""What an action is; `registry` has them all."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

APP = "app"


@dataclass(frozen=True)
class Action:
    """`id` is `scope.name`; the scope's widget (the app, or a pane) has a method `action_name`."""

    id: str
    keys: str  # Textual's spelling, comma between alternatives
    label: str  # one or two words, for the footer
    help: str  # one sentence, for the help screen and the palette
    footer: bool = True

    @property
    def scope(self) -> str:
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        return self.id.partition(".")[2]


def bindings_of(actions: tuple[Action, ...]) -> list[Binding]:
    """Textual's bindings for a scope's own actions; their ids are what a keymap in the config file names."""
    return [
        Binding(action.keys, action.name, action.label, show=action.footer, id=action.id, tooltip=action.help)
        for action in actions
    ]
