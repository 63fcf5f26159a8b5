"""One action of the app or of a pane. `registry` lists them all."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

APP = "app"


@dataclass(frozen=True)
class Action:
    """Something that a key does.

    `id` is `scope.name`. The scope's widget, the app or a pane, has a method `action_name`, or the one in `call`.
    """

    id: str
    keys: str  # Textual's spelling, comma between alternatives
    label: str  # one or two words, for the footer
    help: str  # one sentence, for the help screen and the palette
    footer: bool = True
    call: str = ""  # of a method that takes arguments, as Textual writes it: `show_pane('seeds')`

    @property
    def scope(self) -> str:
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        return self.id.partition(".")[2]

    @property
    def command(self) -> str:
        """What Textual runs: the name of the method without `action_`, with arguments if it takes any."""
        return self.call or self.name


def bindings_of(actions: tuple[Action, ...]) -> list[Binding]:
    """Textual's bindings for the actions of one scope. The config file's keymap names them by their ids."""
    return [
        Binding(action.keys, action.command, action.label, show=action.footer, id=action.id, tooltip=action.help)
        for action in actions
    ]
