"""The pane `evidence` as the app lists it: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("evidence.view", "v", "View", "Show the next of table, scatter, items and what was run."),
    Action("evidence.open", "enter", "Open", "Open the item under the cursor: question, answers and figures."),
    Action("evidence.back", "escape,backspace", "Back", "Close the item."),
    Action("evidence.match", "m", "Matched by", "Show sets of equal samples, of equal tokens, or both."),
    Action("evidence.metrics", "a", "Metrics", "Show all metrics, or the main one of each text."),
    Action("evidence.columns", "l,right,h,left", "Columns", "Show the columns that have no room here."),
    Action("evidence.paper", "p", "Paper", "Show or hide the FAQ paper's own figures for this model."),
    Action("evidence.left_model", "b", "Left model", "Read the next model's items on the left."),
    Action("evidence.right_model", "s", "Right model", "Read the next model's items on the right."),
    Action("evidence.export", "e", "Export", "Write reports/report.md, report.json and report.html."),
    Action("evidence.down", "j,down", "Down", "Go down: to the next row, or to the next item.", footer=False),
    Action("evidence.up", "k,up", "Up", "Go up: to the row before, or to the item before.", footer=False),
    Action("evidence.page_down", "pagedown,space", "Page down", "Go a page down.", footer=False),
    Action("evidence.page_up", "pageup", "Page up", "Go a page up.", footer=False),
    Action("evidence.first", "g,home", "First", "Go to the first row.", footer=False),
    Action("evidence.last", "G,end", "Last", "Go to the last row.", footer=False),
)

EVIDENCE = PaneSpec(
    scope="evidence",
    title="Evidence",
    digit=6,
    help="Show whether it helped, beyond noise.",
    path="faq_tui.tui.panes.evidence.pane:EvidencePane",
    actions=ACTIONS,
)
