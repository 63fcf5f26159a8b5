"""The actions of the screen that compares two runs."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("compare.open", "enter,l,right", "Answers", "Show both answers to the selected question side by side."),
    Action("compare.view", "v,tab", "View", "Go to the other view: settings and evidence, or the picks that differ."),
    Action("compare.down", "j,down", "Down", "Go down by one line.", footer=False),
    Action("compare.up", "k,up", "Up", "Go up by one line.", footer=False),
    Action("compare.page_down", "ctrl+d,pagedown,space", "Page down", "Go one page down.", footer=False),
    Action("compare.page_up", "ctrl+u,pageup", "Page up", "Go one page up.", footer=False),
    Action("compare.first", "g,home", "First", "Go to the first line.", footer=False),
    Action("compare.last", "G,end", "Last", "Go to the last line.", footer=False),
    Action("compare.help", "question_mark", "Help", "Show every key of this screen."),
    Action("compare.close", "escape,q", "Back", "Leave the comparison."),
)

# The screen is not a pane, but the help screen, the config file and docs/keys.md treat its actions like those of a
# pane.
COMPARE = PaneSpec(
    scope="compare",
    title="Compare",
    digit=0,
    help="Compare two runs.",
    path="faq_tui.tui.compare.screen:CompareScreen",
    actions=ACTIONS,
)
