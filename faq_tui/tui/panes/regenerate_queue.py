"""The queue: a list of seeds with the state of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from faq_tui.core.base.sanitize import sanitize
from faq_tui.core.store.candidate_pages import CandidateCounts
from faq_tui.tui.live import Regeneration
from faq_tui.tui.panes.regenerate_page import SeedPage

STATE_WIDTH = 13
NOTHING = CandidateCounts()


def state_of(answered: CandidateCounts, expected: int, writing: int, failed: int) -> tuple[str, str]:
    """The state of a seed in a few words, and their style. `expected`: how many candidates it is to have."""
    if writing:
        return f"writing {answered.done}/{expected}", "bold cyan"
    if failed := max(failed, answered.failed):  # in this job, or as the database knows from an earlier one
        return f"{failed} failed", "bold red"
    if answered.done < expected:
        return (f"waiting {answered.done}/{expected}" if answered.done else "waiting"), "dim"
    if answered.truncated:
        return f"{answered.truncated} truncated", "yellow"
    if answered.unusable:
        return f"{answered.unusable} unfit", "yellow"
    return f"done {answered.done}/{expected}", "green"


@dataclass(frozen=True)
class QueueRow:
    """One line of the queue, as it is drawn."""

    chosen: bool
    question: str
    words: str
    style: str


class SeedQueue(Widget):
    """Draws the page, and again only the rows that changed; the keys are the pane's."""

    class Chosen(Message):
        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    def __init__(self, page: SeedPage) -> None:
        super().__init__(id="queue")
        self.page = page
        self._states: dict[str, tuple[str, str]] = {}
        self._rows: list[QueueRow] = []
        self._base, self._width = Style(), 0  # of the lines that are drawn now

    def set_states(
        self, answered: Mapping[str, CandidateCounts], expected: int, source: str, regeneration: Regeneration
    ) -> None:
        """Take the states of the page's seeds, and draw the rows that changed."""
        writing = Counter(key[0] for key in regeneration.growing if key[1] == source)
        failed = Counter(key[0] for key in regeneration.failures if key[1] == source)
        self._states = {
            seed.seed_id: state_of(
                answered.get(seed.seed_id, NOTHING), expected, writing[seed.seed_id], failed[seed.seed_id]
            )
            for seed in self.page.seeds
        }
        self.redraw()

    def redraw(self) -> None:
        """The rows of the page that differ from those on the screen."""
        rows = [
            QueueRow(row == self.page.cursor, seed.question, *self._states.get(seed.seed_id, ("", "")))
            for row, seed in enumerate(self.page.seeds)
        ]
        before, self._rows = self._rows, rows
        pairs = zip_longest(before, rows)
        changed = [Region(0, y, self.size.width, 1) for y, (was, now) in enumerate(pairs) if was != now]
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        if self.size.height == self.page.height:
            return  # shown again as it was
        self.page.resize(self.size.height)
        self.post_message(self.Chosen(self.page.cursor))

    def on_click(self, event: Click) -> None:
        if event.y < len(self.page.seeds):
            self.page.cursor = event.y
            self.redraw()
            self.post_message(self.Chosen(event.y))

    def render_lines(self, crop: Region) -> list[Strip]:
        self._base, self._width = self.rich_style, self.size.width
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        base, width = self._base, self._width
        if y >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[y]
        reverse = Style(reverse=row.chosen)
        words = f"{'▸' if row.chosen else ' '} ", f"{row.words:<{STATE_WIDTH}}", sanitize(row.question)
        styles = base, base + Style.parse(row.style), base
        strip = Strip([Segment(text, style + reverse) for text, style in zip(words, styles, strict=True)])
        if strip.cell_length > width > 0:
            strip = Strip.join([strip.crop(0, width - 1), Strip([Segment("…", base + reverse)])])
        return strip.adjust_cell_length(width, base + reverse)
