"""The actions of Home."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("home.open", "enter,l,right", "Open", "Open the selected run."),
    Action("home.new", "n", "New run", "Create a run in five steps."),
    Action("home.delete", "d", "Delete", "Delete the files of the selected run. The app asks first."),
    Action("home.mark", "space", "Mark", "Mark the selected run, or remove its mark. Two runs can be marked."),
    Action("home.compare", "c", "Compare", "Compare the two marked runs, or the marked run with the selected one."),
    Action("home.demo", "t", "Try the demo", "Run all stages on a small model. This needs no GPU and no server."),
    Action("home.doctor", "m", "Check this machine", "Check Python, packages, GPU, memory and disk of this machine."),
    Action("home.search", "slash", "Search", "Show only runs whose name or target contains a text."),
    Action("home.clear", "escape", "All", "Show all runs again.", footer=False),
    Action("home.reload", "f5,ctrl+r", "Reload", "Search for runs again.", footer=False),
    Action("home.down", "j,down", "Down", "Go to the next run.", footer=False),
    Action("home.up", "k,up", "Up", "Go to the previous run.", footer=False),
    Action("home.page_down", "ctrl+d,pagedown", "Page down", "Go one page down.", footer=False),
    Action("home.page_up", "ctrl+u,pageup", "Page up", "Go one page up.", footer=False),
    Action("home.first", "g,home", "First", "Go to the first run.", footer=False),
    Action("home.last", "G,end", "Last", "Go to the last run.", footer=False),
)

# Home is not a pane, but the help screen, the config file and docs/keys.md treat its actions like those of a pane.
HOME = PaneSpec(
    scope="home",
    title="Home",
    digit=0,
    help="Show all runs.",
    path="faq_tui.tui.home.app:HomeApp",
    actions=ACTIONS,
)
