"""The list of questions for which two runs use different answers."""

from __future__ import annotations

from rich.text import Text

from faq_tui.core.run_comparison import Differing
from faq_tui.tui.widgets.list import CURSOR, QueueList
from faq_tui.tui.widgets.table import Column, filled, head, row

PICK = 12  # width in cells of a column that shows the candidate's number and who picked it
COLUMNS = (Column("A", PICK), Column("B", PICK, gap=2), Column("question", gap=2))


class PickList(QueueList):
    """One line for each question."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.differing: tuple[Differing, ...] = ()

    def fill(self, differing: tuple[Differing, ...]) -> None:
        self.differing = differing
        self.count = len(differing)
        self.refresh()

    @property
    def selected(self) -> Differing | None:
        return self.differing[self.cursor] if self.differing else None

    def heading(self, width: int) -> Text:
        line = head(filled(COLUMNS, max(1, width - len(CURSOR))), "bold")
        return Text.assemble(" " * len(CURSOR), line, no_wrap=True, end="")

    def line(self, index: int, width: int) -> Text:
        entry = self.differing[index]
        question = " ".join(entry.question.split())
        cells = ((entry.one.words, ""), (entry.other.words, ""), (question, ""))
        shape = filled(COLUMNS, max(1, width - len(CURSOR)))
        return Text(self.mark(index), no_wrap=True, end="").append_text(row(shape, cells))
