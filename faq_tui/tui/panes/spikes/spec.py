"""The specification of the pane `spikes`: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("spikes.next_layer", "l,right", "Next layer", "Show the next layer."),
    Action("spikes.previous_layer", "h,left", "Previous layer", "Show the previous layer.", footer=False),
    Action("spikes.first_layer", "g,home", "First layer", "Show the first layer.", footer=False),
    Action("spikes.last_layer", "G,end", "Last layer", "Show the last layer.", footer=False),
    Action("spikes.highest", "p", "Highest", "Go to the layer where one of the two sets has its highest peak."),
    Action("spikes.difference", "d", "Difference", "Go to the place where the peaks of the two sets differ most."),
    Action("spikes.next_module", "j,down", "Next module", "Show the next module.", footer=False),
    Action("spikes.previous_module", "k,up", "Previous module", "Show the previous module.", footer=False),
    Action("spikes.left_set", "b", "Left set", "Put the next set on the left side."),
    Action("spikes.right_set", "s", "Right set", "Put the next set on the right side."),
    Action("spikes.view", "v", "View", "Show the next view: landscape, layers, channels, table or layer errors."),
    Action("spikes.metric", "m", "Metric", "Plot the next metric over the layers.", footer=False),
    Action("spikes.zoom_in", "plus,equals_sign", "Zoom in", "Show half as many channels, around the highest peak."),
    Action("spikes.zoom_out", "minus", "Zoom out", "Show twice as many channels.", footer=False),
    Action("spikes.export", "e", "Export", "Write figures (heat map, 3-D surface; SVG, PNG) and tables (CSV)."),
)

SPIKES = PaneSpec(
    scope="spikes",
    title="Spikes",
    digit=4,
    help="Show the peaks of the activations.",
    path="faq_tui.tui.panes.spikes.pane:SpikesPane",
    actions=ACTIONS,
)
