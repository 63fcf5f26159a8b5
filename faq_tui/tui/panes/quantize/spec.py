"""The pane `quantize` as the app lists it: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("quantize.down", "j,down", "Down", "Choose the next artefact of the queue.", footer=False),
    Action("quantize.up", "k,up", "Up", "Choose the artefact before.", footer=False),
    Action("quantize.first", "g,home", "First", "Choose the first artefact.", footer=False),
    Action("quantize.last", "G,end", "Last", "Choose the last artefact.", footer=False),
    Action("quantize.running", "a", "Follow", "Show the artefact that is being made, until you move by hand."),
    Action("quantize.view", "v", "View", "Where there is room for one only: the grid, the curve, or the log."),
    Action("quantize.add", "n", "New recipe", "Add a recipe at the end of faq.toml."),
    Action("quantize.remove", "d", "Remove", "Take the chosen recipe out of faq.toml; what it made stays on disk."),
    Action("quantize.move_up", "K", "Move up", "Move the chosen recipe up: it is made earlier.", footer=False),
    Action("quantize.move_down", "J", "Move down", "Move the chosen recipe down: it is made later.", footer=False),
    Action(
        "quantize.stop",
        "S",
        "Stop after layer",
        "Ask the job to stop at the quantizer's next step; the artefact starts over later, or from a checkpoint.",
    ),
)

QUANTIZE = PaneSpec(
    scope="quantize",
    title="Quantize",
    digit=5,
    help="Show the recipes and the layers.",
    path="faq_tui.tui.panes.quantize.pane:QuantizePane",
    actions=ACTIONS,
)
