"""The pane `regenerate` as the app lists it: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("regenerate.next_seed", "j,down", "Next seed", "Show the next seed of the queue.", footer=False),
    Action("regenerate.previous_seed", "k,up", "Previous seed", "Show the seed before.", footer=False),
    Action("regenerate.next_candidate", "l,right", "Next candidate", "Choose the next candidate.", footer=False),
    Action(
        "regenerate.previous_candidate", "h,left", "Previous candidate", "Choose the candidate before.", footer=False
    ),
    Action("regenerate.first_seed", "g,home", "First seed", "Go to the first seed of the queue.", footer=False),
    Action("regenerate.last_seed", "G,end", "Last seed", "Go to the last seed of the queue.", footer=False),
    Action("regenerate.page_down", "ctrl+d,pagedown", "Text down", "Scroll the chosen candidate down.", footer=False),
    Action("regenerate.page_up", "ctrl+u,pageup", "Text up", "Scroll the chosen candidate up.", footer=False),
    Action("regenerate.zoom", "z,enter", "Zoom", "Give the chosen candidate the whole pane, or give it back."),
    Action("regenerate.follow", "a", "Follow", "Follow the candidate that spoke last, until you move by hand."),
    Action("regenerate.source", "s", "Source", "Show the candidates of the next source."),
    Action("regenerate.retry", "R", "Retry failed", "Ask again for the candidates that failed or are missing."),
)

REGENERATE = PaneSpec(
    scope="regenerate",
    title="Regenerate",
    digit=2,
    help="Show the candidates as they grow.",
    path="faq_tui.tui.panes.regenerate.pane:RegeneratePane",
    actions=ACTIONS,
)
