"""What can be done in the pane `quantize`."""

from faq_tui.tui.actions import Action

ACTIONS: tuple[Action, ...] = ()
