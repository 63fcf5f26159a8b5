"""The one registry of actions: footer, palette, help screen, key bindings and the table of keys come from it."""

from __future__ import annotations

from faq_tui.tui import app_actions
from faq_tui.tui.actions import Action
from faq_tui.tui.panes.evidence.actions import ACTIONS as EVIDENCE
from faq_tui.tui.panes.judge.actions import ACTIONS as JUDGE
from faq_tui.tui.panes.quantize.actions import ACTIONS as QUANTIZE
from faq_tui.tui.panes.regenerate.actions import ACTIONS as REGENERATE
from faq_tui.tui.panes.seeds.actions import ACTIONS as SEEDS
from faq_tui.tui.panes.spikes.actions import ACTIONS as SPIKES


def registry() -> tuple[Action, ...]:
    """Every action of the app and its panes, in the order of the help screen."""
    return (*app_actions.ACTIONS, *SEEDS, *REGENERATE, *JUDGE, *SPIKES, *QUANTIZE, *EVIDENCE)
