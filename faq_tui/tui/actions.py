"""One action of the app or of a pane. The module `registry` lists all actions."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

APP = "app"


@dataclass(frozen=True)
class Action:
    """An action that a key starts.

    `id` has the form `scope.name`, such as `judge.pick_1`. The scope is the app or a pane. The key calls the method
    `action_name` of the scope's widget. If `call` is set, the key calls the method in `call` instead.
    """

    id: str
    keys: str  # names of keys in Textual's spelling; commas separate alternatives
    label: str  # one or two words for the footer
    help: str  # one sentence for the help screen and the palette
    footer: bool = True
    call: str = ""  # the call of a method with arguments, as Textual writes it, for example `show_pane('seeds')`

    @property
    def scope(self) -> str:
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        return self.id.partition(".")[2]

    @property
    def command(self) -> str:
        """The call that Textual runs: the method's name without `action_`, and its arguments."""
        return self.call or self.name


def bindings_of(actions: tuple[Action, ...]) -> list[Binding]:
    """Textual's bindings for the actions of one scope.

    The user's config file names an action by its id.
    """
    return [
        Binding(action.keys, action.command, action.label, show=action.footer, id=action.id, tooltip=action.help)
        for action in actions
    ]
