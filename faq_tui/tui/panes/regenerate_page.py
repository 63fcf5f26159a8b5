"""The part of the queue that is on the screen; it moves through any number of seeds by their position in the file."""

from __future__ import annotations

from faq_tui.core.store import Store
from faq_tui.core.store import candidate_pages as queue
from faq_tui.core.store.candidate_pages import QueuedSeed


class SeedPage:
    """`height` seeds of the database, one of which is chosen."""

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
        """Read the page again, around the seed that is chosen."""
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
        """Choose a seed by its id; False if it is not in the queue."""
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
        """Fill the page so that the seed at `position` is chosen, on `row` where that leaves no room empty."""
        ahead = queue.before(self._store, position, row)
        here = queue.after(self._store, position - 1, self.height - len(ahead))
        if len(ahead) + len(here) < self.height:
            ahead = queue.before(self._store, position, self.height - len(here))
        self.seeds = [*ahead, *here]
        self.cursor = min(len(ahead), max(0, len(self.seeds) - 1))
