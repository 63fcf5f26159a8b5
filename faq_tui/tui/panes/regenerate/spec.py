"""The specification of the pane `regenerate`: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("regenerate.next_seed", "j,down", "Next seed", "Show the next seed of the queue.", footer=False),
    Action("regenerate.previous_seed", "k,up", "Previous seed", "Show the previous seed of the queue.", footer=False),
    Action("regenerate.next_candidate", "l,right", "Next candidate", "Select the next candidate.", footer=False),
    Action(
        "regenerate.previous_candidate",
        "h,left",
        "Previous candidate",
        "Select the previous candidate.",
        footer=False,
    ),
    Action("regenerate.first_seed", "g,home", "First seed", "Go to the first seed of the queue.", footer=False),
    Action("regenerate.last_seed", "G,end", "Last seed", "Go to the last seed of the queue.", footer=False),
    Action(
        "regenerate.page_down", "ctrl+d,pagedown", "Text down", "Scroll the selected candidate down.", footer=False
    ),
    Action("regenerate.page_up", "ctrl+u,pageup", "Text up", "Scroll the selected candidate up.", footer=False),
    Action(
        "regenerate.zoom",
        "z,enter",
        "Zoom",
        "Enlarge the selected candidate, or go back to all candidates.",
    ),
    Action("regenerate.follow", "a", "Follow", "Follow the candidate that gets text, until you select another."),
    Action("regenerate.source", "s", "Source", "Show the candidates of the next source."),
    Action("regenerate.retry", "R", "Retry failed", "Generate the failed and the missing candidates."),
)

REGENERATE = PaneSpec(
    scope="regenerate",
    title="Regenerate",
    digit=2,
    help="Show the candidates while they are generated.",
    path="faq_tui.tui.panes.regenerate.pane:RegeneratePane",
    actions=ACTIONS,
)
