"""The list of seeds beside the candidates. A mark shows which seeds are reviewed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.style import Style
from textual.strip import Strip

from faq_tui.core.judging.picking import agrees
from faq_tui.core.store.judged import Standing
from faq_tui.tui.widgets.list import QueueList
from faq_tui.tui.widgets.table import Column, filled, row_strip

WIDTH = 34  # width in cells, including the gap to the candidates
COLUMNS = Column(width=2), Column(width=2), Column("question")
PAGE = 64  # number of questions that are read at once

Questions = Callable[[Sequence[str]], Mapping[str, str]]  # maps seed ids to questions


def mark_of(standing: Standing, blind: bool) -> tuple[str, str]:
    """The mark of a seed as (sign, style). In blind mode, the mark does not show whether the judge agrees."""
    person = standing.override
    if person is None:
        return ("·", "") if standing.usable else ("-", "dim")
    if person.candidate_id is None:
        return "✗", "bold red"
    return ("✓", "green") if blind or agrees(standing) else ("≠", "yellow")


class ReviewList(QueueList):
    """Shows the seeds of the queue. Only the rows on the screen are created."""

    def __init__(self, questions: Questions) -> None:
        super().__init__(id="judge-queue")
        self._read = questions
        self._questions: dict[str, str] = {}  # questions that were read, by seed id
        self._standings: Sequence[Standing] = ()
        self._drawn: dict[int, tuple[object, ...]] = {}
        self._blind = False

    def show(self, standings: Sequence[Standing], cursor: int, blind: bool) -> None:
        """Show these seeds, and draw the rows that changed. `cursor` is the index of the current seed."""
        self._standings, self._blind = standings, blind
        self.count = len(standings)
        if cursor != self.cursor:
            self.cursor = cursor
        first = self.scroll_offset.y
        for index in range(first, min(first + self.page, self.count)):
            if self._drawn.get(index) != self._content(index):
                self.refresh_lines(index)

    def _content(self, index: int) -> tuple[object, ...]:
        standing = self._standings[index]
        return standing.seed_id, mark_of(standing, self._blind)

    def _question(self, index: int) -> str:
        seed_id = self._standings[index].seed_id
        if seed_id not in self._questions:
            start = index - index % PAGE
            ids = [standing.seed_id for standing in self._standings[start : start + PAGE]]
            self._questions.update(self._read(ids))
        return self._questions.get(seed_id, "")

    def strip(self, index: int, width: int, base: Style) -> Strip:
        self._drawn[index] = self._content(index)
        question = " ".join(self._question(index).split())
        cells = ((self.mark(index), ""), mark_of(self._standings[index], self._blind), (question, ""))
        return row_strip(filled(COLUMNS, width), cells, base)
