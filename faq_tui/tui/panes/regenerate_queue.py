"""The list of seeds with the state of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.text import Text
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from faq_tui.core.literal import literal
from faq_tui.core.store.regenerate_queue import Answered, QueuedSeed
from faq_tui.tui.live_regenerate import Regeneration
from faq_tui.tui.panes.regenerate_page import SeedPage

STATE_WIDTH = 13
NOTHING = Answered()


def state_of(answered: Answered, wanted: int, writing: int, failed: int) -> tuple[str, str]:
    """A few words on a seed, and their style."""
    if writing:
        return f"writing {answered.done}/{wanted}", "bold cyan"
    if failed:
        return f"{failed} failed", "bold red"
    if answered.done < wanted:
        return (f"waiting {answered.done}/{wanted}" if answered.done else "waiting"), "dim"
    if answered.truncated:
        return f"{answered.truncated} truncated", "yellow"
    if answered.unfit:
        return f"{answered.unfit} unfit", "yellow"
    return f"done {answered.done}/{wanted}", "green"


class SeedQueue(Widget, can_focus=True):
    """Draws the page; the keys are the pane's."""

    class Chosen(Message):
        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    def __init__(self, page: SeedPage) -> None:
        super().__init__(id="queue")
        self.page = page
        self._states: dict[str, tuple[str, str]] = {}

    def set_states(
        self, answered: Mapping[str, Answered], wanted: int, source: str, regeneration: Regeneration
    ) -> None:
        writing = Counter(key[0] for key in regeneration.growing if key[1] == source)
        failed = Counter(key[0] for key in regeneration.failures if key[1] == source)
        states = {
            seed.seed_id: state_of(
                answered.get(seed.seed_id, NOTHING), wanted, writing[seed.seed_id], failed[seed.seed_id]
            )
            for seed in self.page.seeds
        }
        if states != self._states:
            self._states = states
            self.refresh()

    def on_resize(self) -> None:
        self.page.resize(self.size.height)
        self.post_message(self.Chosen(self.page.cursor))

    def on_click(self, event: Click) -> None:
        if event.y < len(self.page.seeds):
            self.page.cursor = event.y
            self.refresh()
            self.post_message(self.Chosen(event.y))

    def render(self) -> Text:
        width = self.size.width
        lines = [self._line(row, seed, width) for row, seed in enumerate(self.page.seeds)]
        return Text("\n", no_wrap=True, end="").join(lines)

    def _line(self, row: int, seed: QueuedSeed, width: int) -> Text:
        words, style = self._states.get(seed.seed_id, ("", ""))
        line = Text("▸ " if row == self.page.cursor else "  ", no_wrap=True, end="")
        line.append(f"{words:<{STATE_WIDTH}}", style=style)
        line.append(literal(seed.question))
        line.truncate(width, overflow="ellipsis", pad=True)
        if row == self.page.cursor:
            line.stylize("reverse")
        return line
