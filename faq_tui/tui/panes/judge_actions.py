"""What can be done in the pane `judge`."""

from faq_tui.tui.actions import Action

ACTIONS: tuple[Action, ...] = ()
