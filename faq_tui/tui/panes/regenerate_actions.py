"""What can be done in the pane `regenerate`."""

from faq_tui.tui.actions import Action

ACTIONS: tuple[Action, ...] = ()
