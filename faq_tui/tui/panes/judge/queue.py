"""The ordered seeds of the Judge pane, with the filter, the cursor, and the progress of the review."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from itertools import chain

from faq_tui.core.judging.picking import ReviewCounts, admits
from faq_tui.core.store import Store
from faq_tui.core.store.judged import Standing, standings
from faq_tui.core.store.picks import Pick
from faq_tui.core.store.seed_pages import View
from faq_tui.tui.widgets.list import index_of

READ_EVERY_S = 1.0
READ_SHARE = 20  # after each read, wait at least 20 times as long as the read took


@dataclass
class JudgeQueue:
    """The seeds that the filter shows, and the index of the current seed. The index is -1 if there are no seeds."""

    kind: str  # kind of the judge
    filter: str = "all"
    index: int = -1
    everything: list[Standing] = field(default_factory=list)
    shown: list[Standing] = field(default_factory=list)
    due: float = 0.0  # earliest time of the next read, on the clock time.monotonic
    _counts: ReviewCounts = field(default_factory=ReviewCounts)
    _places: dict[str, int] = field(default_factory=dict)  # maps a seed id to its index in `everything`

    def read(self, store: Store, view: View) -> None:
        """Read the seeds again. The current seed stays, even if the filter excludes it now."""
        began = time.monotonic()
        self.everything = standings(store, view)
        self._counts = ReviewCounts.of(self.everything)
        self._places = {standing.seed_id: index for index, standing in enumerate(self.everything)}
        self.due = time.monotonic() + max(READ_EVERY_S, READ_SHARE * (time.monotonic() - began))
        self._narrow(keep=True)

    def show_only(self, name: str) -> None:
        self.filter = name
        self._narrow(keep=False)

    @property
    def now(self) -> Standing | None:
        return self.shown[self.index] if 0 <= self.index < len(self.shown) else None

    def agreement(self) -> tuple[int, int]:
        return self._counts.agreed, self._counts.decided_by_both

    def progress(self) -> tuple[int, int]:
        """Return the number of reviewed seeds and the number of seeds to review.

        The two numbers of seeds include seeds that the filter hides.
        """
        return self._counts.reviewed, self._counts.listed

    def decided(self, pick: Pick) -> None:
        """Take over a person's decision that was just stored. This is faster than reading all seeds again."""
        place = self._places.get(pick.seed_id)
        if place is None:
            return
        before = self.everything[place]
        after = self.everything[place] = replace(before, override=pick)
        self._counts = self._counts.changed(before, after)
        now = self.now
        if now is not None and now.seed_id == pick.seed_id:
            self.shown[self.index] = after
        else:
            self.shown = [after if one.seed_id == pick.seed_id else one for one in self.shown]

    def count(self, name: str) -> int:
        return sum(admits(name, standing, self.kind) for standing in self.everything)

    def move(self, by: int) -> bool:
        """Move the cursor by `by` seeds.

        Returns False if the cursor cannot move, because it is at an end of the list.
        """
        target = max(0, min(self.index + by, len(self.shown) - 1))
        moved, self.index = target != self.index, target
        return moved

    def move_to(self, seed_id: str) -> bool:
        """Go to a seed. Returns False if the filter hides the seed."""
        index = next((i for i, standing in enumerate(self.shown) if standing.seed_id == seed_id), None)
        if index is None:
            return False
        self.index = index
        return True

    def move_undecided(self, step: int) -> bool:
        """Go to the next seed without a person's decision: a later seed if `step` is 1, an earlier seed if it is -1.

        Returns False if there is no such seed.
        """
        rest = range(self.index + step, len(self.shown) if step > 0 else -1, step)
        return self._go_to(next((i for i in rest if self.shown[i].override is None), None))

    def move_on(self) -> bool:
        """Go to the next seed to review. After the last seed, the search continues at the first seed.

        Seeds without a usable candidate are skipped. Returns False if all seeds are reviewed.
        """
        around = chain(range(self.index + 1, len(self.shown)), range(self.index))
        seeds = self.shown
        return self._go_to(next((i for i in around if seeds[i].override is None and seeds[i].usable), None))

    def _go_to(self, index: int | None) -> bool:
        if index is None:
            return False
        self.index = index
        return True

    def _narrow(self, keep: bool) -> None:
        here = self.now
        seed_id = here.seed_id if here else None
        self.shown = [
            standing
            for standing in self.everything
            if admits(self.filter, standing, self.kind) or (keep and standing.seed_id == seed_id)
        ]
        self.index = index_of(seed_id, [standing.seed_id for standing in self.shown], self.index)
