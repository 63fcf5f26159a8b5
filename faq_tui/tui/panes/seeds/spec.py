"""The specification of the pane `seeds`: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action(
        "seeds.search", "slash", "Search", "Search questions, answers, labels and ids. Empty text ends the search."
    ),
    Action("seeds.filter", "f,F", "Filter", "Show only seeds with a given state, category, tag or length."),
    Action("seeds.clear", "escape", "All", "Show all seeds, or make a large preview small again."),
    Action(
        "seeds.exclude",
        "e",
        "Exclude",
        "Leave the seed out of every set, or include it again. No other seed replaces it.",
    ),
    Action("seeds.tag", "t", "Tag", "Add a tag to the seed, or remove it."),
    Action("seeds.undo", "u", "Undo", "Undo the last exclusion, inclusion or tag."),
    Action("seeds.zoom", "enter,z", "Zoom", "Enlarge the preview, or go back to the list of seeds."),
    Action("seeds.set", "v", "Next set", "Preview the seed's sample in the next calibration set."),
    Action("seeds.source", "s", "Source", "Show the state of the seeds for the next source."),
    Action(
        "seeds.down", "j,down", "Next seed", "Go to the next seed, or scroll the large preview down.", footer=False
    ),
    Action(
        "seeds.up", "k,up", "Previous seed", "Go to the previous seed, or scroll the large preview up.", footer=False
    ),
    Action("seeds.page_down", "ctrl+d,pagedown", "Page down", "Go one page down.", footer=False),
    Action("seeds.page_up", "ctrl+u,pageup", "Page up", "Go one page up.", footer=False),
    Action("seeds.first", "g,home", "First", "Go to the first seed.", footer=False),
    Action("seeds.last", "G,end", "Last", "Go to the last seed.", footer=False),
    Action("seeds.preview_down", "J,shift+down", "Preview down", "Scroll the preview down.", footer=False),
    Action("seeds.preview_up", "K,shift+up", "Preview up", "Scroll the preview up.", footer=False),
)

SEEDS = PaneSpec(
    scope="seeds",
    title="Seeds",
    digit=1,
    help="Show the seeds.",
    path="faq_tui.tui.panes.seeds.pane:SeedsPane",
    actions=ACTIONS,
)
