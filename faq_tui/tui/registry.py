"""The list of all actions.

Footer, palette, help screen, key bindings and docs/keys.md are built from this list. `python -m faq_tui.tui.registry`
prints the table of keys.
"""

from __future__ import annotations

from collections.abc import Iterable

from faq_tui.tui.actions import APP, Action
from faq_tui.tui.compare_actions import COMPARE
from faq_tui.tui.home_actions import HOME
from faq_tui.tui.keys import keys_of, shown
from faq_tui.tui.pane import PaneSpec
from faq_tui.tui.panes import PANES

APP_ACTIONS = (
    Action("app.previous_pane", "left_square_bracket", "Previous", "Show the pane to the left.", footer=False),
    Action("app.next_pane", "right_square_bracket", "Next", "Show the pane to the right.", footer=False),
    Action("app.start", "r", "Run", "Show which stages are out of date or not done, and start or resume them."),
    Action("app.stop", "x", "Stop", "Stop the running job; finished work is kept."),
    Action("app.settings", "comma", "Settings", "Show and change the settings of the run.", footer=False),
    Action("app.editor", "E", "Edit faq.toml", "Open faq.toml in your editor ($VISUAL or $EDITOR).", footer=False),
    Action("app.errors", "exclamation_mark", "Errors", "Show the last errors with their whole text.", footer=False),
    Action("app.copy", "y", "Copy", "Copy the focused text to the clipboard and to a file.", footer=False),
    Action("app.theme", "T", "Colours", "Choose the colour theme of the screen.", footer=False),
    Action("app.command_palette", "ctrl+p", "All actions", "Find any action by its name.", footer=False),
    Action("app.home", "H", "Home", "Show all runs. A running job continues.", footer=False),
    Action("app.compare", "C", "Compare", "Compare this run with another one.", footer=False),
    Action("app.help", "question_mark", "Help", "Show every key."),
    Action("app.quit", "q", "Quit", "Leave the app. If a job is running, ask whether to stop it."),
)


def show_actions(panes: Iterable[PaneSpec] = PANES) -> tuple[Action, ...]:
    """Return one action for each pane: the action shows the pane.

    A function key always shows its pane. A digit does the same, unless the pane on the screen uses this digit
    itself.
    """
    return tuple(
        Action(
            f"{APP}.show_{pane.scope}",
            f"{pane.digit},f{pane.digit},ctrl+{pane.digit}",
            pane.title,
            pane.help,
            footer=False,
            call=f"show_pane('{pane.scope}')",
        )
        for pane in panes
    )


def registry(panes: Iterable[PaneSpec] = PANES) -> tuple[Action, ...]:
    """Every action of the app and of `panes`, in the order of the help screen."""
    panes = tuple(panes)
    return (*show_actions(panes), *APP_ACTIONS, *(action for pane in panes for action in pane.actions))


def every_action() -> tuple[Action, ...]:
    """All actions: of the app and its panes, of Home, and of the screen that compares two runs."""
    return (*registry(), *HOME.actions, *COMPARE.actions)


def key_table() -> str:
    """The table of keys as Markdown, one row for each action."""
    titles = {APP: "everywhere", **{pane.scope: pane.title for pane in (*PANES, HOME, COMPARE)}}
    lines = ["| where | key | does |", "|---|---|---|"]
    for action in every_action():
        keys = " ".join(f"`{shown(key)}`" for key in keys_of(action, {}))
        lines.append(f"| {titles[action.scope]} | {keys} | {action.help} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(key_table())
