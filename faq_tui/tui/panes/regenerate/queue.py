"""The queue of seeds: it reads a page of seeds, draws it, and chooses the candidate to follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from rich.style import Style
from textual.message import Message
from textual.strip import Strip

from faq_tui.core.store import Store
from faq_tui.core.store import candidate_pages as queue
from faq_tui.core.store.candidate_pages import CandidateCounts, QueuedSeed
from faq_tui.tui.live import CandidateKey, GrowingCandidate, Regeneration
from faq_tui.tui.widgets.list import QueueList
from faq_tui.tui.widgets.table import Column, filled, row_strip

QUIET_S = 2.0  # a candidate without new text for this many seconds is no longer followed
COLUMNS = Column(width=2), Column("state", 13), Column("question")
NOTHING = CandidateCounts()


class Follower:
    """Chooses the candidate to show.

    The follower stays with one candidate until this candidate is finished or gets no more text. After that, the
    follower changes to the candidate that received text last.
    """

    def __init__(self) -> None:
        self.on = False
        # Number of characters of the followed candidate, and the time when its text last grew.
        self._length, self._since = 0, 0.0

    def toggle(self) -> None:
        self.on = not self.on
        self._length, self._since = 0, 0.0

    def next(self, regeneration: Regeneration, shown: CandidateKey | None, now: float) -> CandidateKey | None:
        """The candidate to show next; None to stay with the shown candidate."""
        latest = regeneration.latest
        if not self.on or latest is None:
            return None
        growing = regeneration.growing.get(shown) if shown else None
        if growing is not None and growing.waits_until is None and not self._is_silent(growing, now):
            return None
        return latest if latest in regeneration.growing else None

    def went(self, now: float) -> None:
        self._length, self._since = 0, now

    def _is_silent(self, growing: GrowingCandidate, now: float) -> bool:
        length = growing.reasoning.length + growing.answer.length
        if length != self._length:
            self._length, self._since = length, now
        return now - self._since >= QUIET_S


class SeedPage:
    """A page of `height` seeds from the database. One seed is selected."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.height = 1
        self.seeds: list[QueuedSeed] = []
        self.cursor = 0
        self.total = 0

    @property
    def current(self) -> QueuedSeed | None:
        return self.seeds[self.cursor] if self.seeds else None

    def load(self) -> None:
        """Read the page around the selected seed again."""
        self.total = queue.count(self._store)
        if self.current is None:
            self.first()
        else:
            self._load_around(self.current.position, self.cursor)

    def resize(self, height: int) -> None:
        self.height = max(1, height)
        if self.current is not None:
            self._load_around(self.current.position, min(self.cursor, self.height - 1))
        else:
            self.first()

    def first(self) -> None:
        self.seeds, self.cursor = queue.after(self._store, -1, self.height), 0

    def last(self) -> None:
        self.seeds = queue.before(self._store, 1 << 62, self.height)
        self.cursor = max(0, len(self.seeds) - 1)

    def down(self) -> None:
        if self.cursor + 1 < len(self.seeds):
            self.cursor += 1
        elif self.seeds and (more := queue.after(self._store, self.seeds[-1].position, 1)):
            self.seeds = [*self.seeds, *more][-self.height :]
            self.cursor = len(self.seeds) - 1

    def up(self) -> None:
        if self.cursor:
            self.cursor -= 1
        elif self.seeds and (more := queue.before(self._store, self.seeds[0].position, 1)):
            self.seeds = [*more, *self.seeds][: self.height]

    def go_to(self, seed_id: str) -> bool:
        """Select a seed by its id. Returns False if the seed is not in the queue."""
        for row, seed in enumerate(self.seeds):
            if seed.seed_id == seed_id:
                self.cursor = row
                return True
        position = queue.position_of(self._store, seed_id)
        if position is None:
            return False
        self._load_around(position, self.height // 2)
        return True

    def _load_around(self, position: int, row: int) -> None:
        """Fill the page around the seed at `position`, and select this seed.

        If possible, the seed is on the line `row` of the page. Near the end of the queue, the seed is on a lower
        line, so that the page is full.
        """
        ahead = queue.before(self._store, position, row)
        here = queue.after(self._store, position - 1, self.height - len(ahead))
        if len(ahead) + len(here) < self.height:
            ahead = queue.before(self._store, position, self.height - len(here))
        self.seeds = [*ahead, *here]
        self.cursor = min(len(ahead), max(0, len(self.seeds) - 1))


def state_of(answered: CandidateCounts, expected: int, writing: int, failed: int) -> tuple[str, str]:
    """The state of a seed as (words, style). `expected` is the number of candidates that the seed should have."""
    if writing:
        return f"writing {answered.done}/{expected}", "bold cyan"
    if failed := max(failed, answered.failed):  # number of candidates that failed in this job or in an earlier one
        return f"{failed} failed", "bold red"
    if answered.done < expected:
        return (f"waiting {answered.done}/{expected}" if answered.done else "waiting"), "dim"
    if answered.unusable:
        return f"{answered.unusable} unusable", "yellow"
    return f"done {answered.done}/{expected}", "green"


@dataclass(frozen=True)
class QueueRow:
    """The content of one line of the queue."""

    question: str
    words: str
    style: str


class SeedQueue(QueueList):
    """Draws the whole page once. After that, it draws only the rows that changed."""

    class PageResized(Message):
        """The height of the page has changed, so it now shows more or fewer seeds."""

    def __init__(self, page: SeedPage) -> None:
        super().__init__(id="queue")
        self.page_of_seeds = page
        self._states: dict[str, tuple[str, str]] = {}
        self._rows: list[QueueRow] = []

    def set_states(
        self, answered: Mapping[str, CandidateCounts], expected: int, source: str, regeneration: Regeneration
    ) -> None:
        """Set the states of the page's seeds, and draw the rows that changed."""
        writing = Counter(key[0] for key in regeneration.growing if key[1] == source)
        failed = Counter(key[0] for key in regeneration.failures if key[1] == source)
        seeds = self.page_of_seeds.seeds
        self._states = {
            seed.seed_id: state_of(
                answered.get(seed.seed_id, NOTHING), expected, writing[seed.seed_id], failed[seed.seed_id]
            )
            for seed in seeds
        }
        before = self._rows
        self._rows = [QueueRow(seed.question, *self._states[seed.seed_id]) for seed in seeds]
        self.count, self.cursor = len(seeds), self.page_of_seeds.cursor
        for index, (was, now) in enumerate(zip_longest(before, self._rows)):
            if was != now:
                self.refresh_lines(index)

    def on_resize(self) -> None:
        if self.size.height != self.page_of_seeds.height:  # if the height is the same, the page does not change
            self.page_of_seeds.resize(self.size.height)
            self.post_message(self.PageResized())

    def strip(self, index: int, width: int, base: Style) -> Strip:
        row = self._rows[index]
        return row_strip(
            filled(COLUMNS, width), ((self.mark(index), ""), (row.words, row.style), (row.question, "")), base
        )
