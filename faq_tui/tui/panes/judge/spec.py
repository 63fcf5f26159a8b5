"""The pane `judge` as the app lists it: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("judge.pick_1", "1", "Pick", "Let the seed use candidate 1, whatever the judge says."),
    Action("judge.pick_2", "2", "Pick", "Let the seed use candidate 2, whatever the judge says."),
    Action("judge.pick_3", "3", "Pick", "Let the seed use candidate 3, whatever the judge says."),
    Action("judge.reject", "0", "Reject", "Let the source's set do without this seed."),
    Action("judge.undo", "u", "Undo", "Give this seed, or else the last one you overrode, back to the judge."),
    Action("judge.next", "n", "Next", "Go to the next seed."),
    Action("judge.previous", "p", "Previous", "Go to the seed before.", footer=False),
    Action("judge.filter", "F", "Filter", "Show only close calls, disagreements, unfit or overridden seeds."),
    Action("judge.blind", "b", "Blind", "Hide the judge's scores, reasons and pick, or show them; the order stays."),
    Action("judge.fold", "f,enter", "Fold", "Fold the reasoning, or unfold it."),
    Action("judge.reason", "R", "Reason", "Write down why: for the override of this seed, or for the coming one."),
    Action("judge.source", "s", "Source", "Show the candidates of the next source."),
    Action("judge.next_undecided", "N", "Next open", "Go to the next seed that no person has decided."),
    Action(
        "judge.previous_undecided", "P", "Previous open", "Go back to one that no person has decided.", footer=False
    ),
    Action("judge.pick_this", "space", "Pick this", "Let the seed use the chosen candidate.", footer=False),
    Action("judge.right", "l,right,tab", "Candidate", "Choose the candidate to the right.", footer=False),
    Action("judge.left", "h,left,shift+tab", "Candidate", "Choose the candidate to the left.", footer=False),
    Action("judge.down", "j,down", "Down", "Scroll the chosen candidate down.", footer=False),
    Action("judge.up", "k,up", "Up", "Scroll the chosen candidate up.", footer=False),
    Action("judge.page_down", "ctrl+d,pagedown", "Page down", "Scroll the chosen candidate a page.", footer=False),
    Action("judge.page_up", "ctrl+u,pageup", "Page up", "Scroll the chosen candidate back a page.", footer=False),
    Action("judge.first", "g,home", "First", "Go to the first seed.", footer=False),
    Action("judge.last", "G,end", "Last", "Go to the last seed.", footer=False),
)

JUDGE = PaneSpec(
    scope="judge",
    title="Judge",
    digit=3,
    help="Show candidates, scores and picks.",
    path="faq_tui.tui.panes.judge.pane:JudgePane",
    actions=ACTIONS,
)
