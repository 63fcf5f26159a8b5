"""The one registry of actions: footer, palette, help screen, key bindings and docs/keys.md come from it."""

from __future__ import annotations

from faq_tui.tui import app_actions
from faq_tui.tui.actions import Action
from faq_tui.tui.panes import (
    evidence_actions,
    judge_actions,
    quantize_actions,
    regenerate_actions,
    seeds_actions,
    spikes_actions,
)


def registry() -> tuple[Action, ...]:
    """Every action of the app and its panes, in the order of the help screen."""
    return (
        *app_actions.ACTIONS,
        *seeds_actions.ACTIONS,
        *regenerate_actions.ACTIONS,
        *judge_actions.ACTIONS,
        *spikes_actions.ACTIONS,
        *quantize_actions.ACTIONS,
        *evidence_actions.ACTIONS,
    )
