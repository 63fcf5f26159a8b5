"""The specification of the pane `evidence`: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("evidence.view", "v", "View", "Show the next view: overview, table, scatter plot, items or run."),
    Action("evidence.open", "enter", "Open", "Open the selected item: question, answers and figures."),
    Action("evidence.back", "escape,backspace", "Back", "Close the item."),
    Action(
        "evidence.match", "m", "Matched by", "Compare sets with equally many samples, equally many tokens, or both."
    ),
    Action("evidence.metrics", "a", "Metrics", "Show all metrics, or only the main metric of each text."),
    Action("evidence.columns", "l,right,h,left", "Columns", "Show the columns that do not fit."),
    Action("evidence.paper", "p", "Paper", "Show or hide the results in the FAQ paper for this model."),
    Action("evidence.left_model", "b", "Left model", "Show the next model in the left column of items."),
    Action("evidence.right_model", "s", "Right model", "Show the next model in the right column of items."),
    Action("evidence.export", "e", "Export", "Write reports/report.md, report.json and report.html."),
    Action("evidence.down", "j,down", "Down", "Go to the next row or item.", footer=False),
    Action("evidence.up", "k,up", "Up", "Go to the previous row or item.", footer=False),
    Action("evidence.page_down", "pagedown,space", "Page down", "Go one page down.", footer=False),
    Action("evidence.page_up", "pageup", "Page up", "Go one page up.", footer=False),
    Action("evidence.first", "g,home", "First", "Go to the first row.", footer=False),
    Action("evidence.last", "G,end", "Last", "Go to the last row.", footer=False),
)

EVIDENCE = PaneSpec(
    scope="evidence",
    title="Evidence",
    digit=6,
    help="Show whether the regenerated data helped beyond noise.",
    path="faq_tui.tui.panes.evidence.pane:EvidencePane",
    actions=ACTIONS,
)
