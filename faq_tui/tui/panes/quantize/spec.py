"""The specification of the pane `quantize`: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("quantize.down", "j,down", "Down", "Select the next artefact of the queue.", footer=False),
    Action("quantize.up", "k,up", "Up", "Select the previous artefact.", footer=False),
    Action("quantize.first", "g,home", "First", "Select the first artefact.", footer=False),
    Action("quantize.last", "G,end", "Last", "Select the last artefact.", footer=False),
    Action("quantize.card", "enter", "Card", "Show the artefact's size, path and command; serve, copy or delete it."),
    Action("quantize.try_it", "t", "Try", "Let the unquantized model and artefacts answer one prompt side by side."),
    Action("quantize.running", "a", "Follow", "Show the artefact that is being quantized, until you select another."),
    Action("quantize.view", "v", "View", "In a small window, show the grid, the curve, or the log."),
    Action("quantize.add", "n", "New recipe", "Add a recipe at the end of faq.toml."),
    Action("quantize.remove", "d", "Remove", "Remove the selected recipe from faq.toml. Its artefacts stay on disk."),
    Action("quantize.move_up", "K", "Move up", "Move the selected recipe up, so that it runs earlier.", footer=False),
    Action(
        "quantize.move_down", "J", "Move down", "Move the selected recipe down, so that it runs later.", footer=False
    ),
    Action(
        "quantize.stop",
        "S",
        "Stop after layer",
        "Stop the job at the quantizer's next step. Later, the artefact starts over or continues from a checkpoint.",
    ),
)

QUANTIZE = PaneSpec(
    scope="quantize",
    title="Quantize",
    digit=5,
    help="Show recipes, artefacts and the loss of each layer.",
    path="faq_tui.tui.panes.quantize.pane:QuantizePane",
    actions=ACTIONS,
)
