"""The one registry of actions: footer, palette, help screen, key bindings and README's table come from it."""

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


# Filled by actions_app.py and by each pane's own actions module; see `registry`.
def registry() -> tuple[Action, ...]:
    """Every action of the app and its panes, in the order of the help screen."""
    from faq_tui.tui import app_actions
    from faq_tui.tui.panes import judge_actions, quantize_actions, regenerate_actions, seeds_actions

    return (
        *app_actions.ACTIONS,
        *seeds_actions.ACTIONS,
        *regenerate_actions.ACTIONS,
        *judge_actions.ACTIONS,
        *quantize_actions.ACTIONS,
    )


def bindings_of(actions: tuple[Action, ...]) -> list[Binding]:
    """Textual's bindings for a scope's own actions; their ids are what a keymap in the config file names."""
    return [
        Binding(action.keys, action.name, action.label, show=action.footer, id=action.id, tooltip=action.help)
        for action in actions
    ]
