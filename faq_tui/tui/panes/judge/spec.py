"""The specification of the pane `judge`: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

RULE = "In this pane, the digits pick candidates; the line of tabs names the keys that show the panes."
PICKS = tuple(
    Action(
        f"judge.pick_{number}",
        str(number),
        "Pick",
        f"Choose candidate {number}. {RULE}" if number == 1 else f"Choose candidate {number}.",
        call=f"pick({number})",
    )
    for number in range(1, 10)
)

ACTIONS: tuple[Action, ...] = (
    *PICKS,
    Action("judge.accept", "enter", "Accept", "Accept the judge's pick."),
    Action("judge.reject", "0", "Reject", "Leave this seed out of the source's set."),
    Action(
        "judge.undo",
        "u",
        "Undo",
        "Remove your override of this seed. If there is none, take back your last decision.",
    ),
    Action("judge.next", "n", "Next", "Go to the next seed."),
    Action("judge.previous", "p", "Previous", "Go to the previous seed.", footer=False),
    Action(
        "judge.filter",
        "f,F",
        "Filter",
        "Show only some seeds: close calls, disagreements, unusable seeds or overridden seeds.",
    ),
    Action("judge.blind", "b", "Blind", "Hide or show the judge's scores, reasons and pick."),
    Action("judge.compare", "d", "Differences", "Compare two candidates word by word, or show all candidates again."),
    Action(
        "judge.accept_clear",
        "A",
        "Accept clear",
        "Accept the judge's pick for every open seed whose best score has a clear lead.",
    ),
    Action("judge.fold", "z", "Fold", "Fold or unfold the reasoning."),
    Action(
        "judge.go_on",
        "a",
        "Go on",
        "Go to the next open seed after each decision, or stay on the seed.",
        footer=False,
    ),
    Action(
        "judge.reason", "w,R", "Reason", "Write the reason for your override of this seed, or for your next override."
    ),
    Action("judge.source", "s", "Source", "Show the candidates of the next source."),
    Action("judge.next_undecided", "N", "Next open", "Go to the next open seed: a seed without a person's decision."),
    Action(
        "judge.previous_undecided",
        "P",
        "Previous open",
        "Go to the previous seed without a person's decision.",
        footer=False,
    ),
    Action(
        "judge.pick_this",
        "space",
        "Pick this",
        "Choose the selected candidate for this seed.",
        footer=False,
    ),
    Action("judge.right", "l,right,tab", "Candidate", "Select the candidate to the right.", footer=False),
    Action("judge.left", "h,left,shift+tab", "Candidate", "Select the candidate to the left.", footer=False),
    Action("judge.down", "j,down", "Down", "Scroll the selected candidate down.", footer=False),
    Action("judge.up", "k,up", "Up", "Scroll the selected candidate up.", footer=False),
    Action(
        "judge.page_down",
        "ctrl+d,pagedown",
        "Page down",
        "Scroll the selected candidate one page down.",
        footer=False,
    ),
    Action("judge.page_up", "ctrl+u,pageup", "Page up", "Scroll the selected candidate one page up.", footer=False),
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
