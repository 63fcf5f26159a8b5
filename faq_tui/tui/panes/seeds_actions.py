"""What can be done in the pane `seeds`."""

from faq_tui.tui.actions import Action

ACTIONS: tuple[Action, ...] = ()
