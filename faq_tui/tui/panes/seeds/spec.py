"""The pane `seeds` as the app lists it: title, digit, help and actions."""

from faq_tui.tui.actions import Action
from faq_tui.tui.pane import PaneSpec

ACTIONS: tuple[Action, ...] = (
    Action("seeds.search", "slash", "Search", "Search questions, answers, labels and ids; nothing typed ends it."),
    Action("seeds.filter", "f,F", "Filter", "Show only seeds of a state, a category, a tag or a length."),
    Action("seeds.clear", "escape", "All", "Show all seeds again, or make the preview small again."),
    Action("seeds.exclude", "e", "Exclude", "Leave the seed out of every set, or take it back in; none replaces it."),
    Action("seeds.tag", "t", "Tag", "Put a tag on the seed, or take it off again."),
    Action("seeds.undo", "u", "Undo", "Take back the last exclusion, inclusion or tag."),
    Action("seeds.zoom", "enter,z", "Zoom", "Give the preview the whole pane, or the list back."),
    Action("seeds.set", "v", "Next set", "Preview the seed as the next calibration set holds it."),
    Action("seeds.source", "s", "Source", "Tell the state of the seeds for the next source."),
    Action("seeds.down", "j,down", "Next seed", "Go to the next seed, or scroll the large preview.", footer=False),
    Action("seeds.up", "k,up", "Previous seed", "Go to the seed before, or scroll the large preview.", footer=False),
    Action("seeds.page_down", "ctrl+d,pagedown", "Page down", "Go down a page.", footer=False),
    Action("seeds.page_up", "ctrl+u,pageup", "Page up", "Go up a page.", footer=False),
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
