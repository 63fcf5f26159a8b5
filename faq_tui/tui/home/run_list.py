"""The list of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from faq_tui.core.run_summary import RunSummary
from faq_tui.tui.home.rows import cells, columns, name_of
from faq_tui.tui.widgets.list import CURSOR, QueueList
from faq_tui.tui.widgets.table import filled, head, row


class RunList(QueueList):
    """One line for each run. `runs` is the list that the app shows now."""

    COMPONENT_CLASSES = {"run--strong", "run--good", "run--warning", "run--bad"}  # noqa: RUF012  Textual reads this

    def __init__(self, here: Path, clock: Callable[[], float], id: str = "runs") -> None:
        super().__init__(id=id)
        self.runs: list[RunSummary] = []
        self.marked: list[Path] = []  # the runs to compare, at most two
        self._here, self._clock = here, clock
        try:
            self._home: Path | None = Path.home().resolve()
        except (OSError, RuntimeError):  # this user has no home folder
            self._home = None

    @property
    def selected(self) -> RunSummary | None:
        return self.runs[self.cursor] if self.runs else None

    def toggle_mark(self, folder: Path) -> None:
        """Mark the run, or remove its mark. Only the last two marks are kept."""
        self.marked = [one for one in self.marked if one != folder] + [folder] * (folder not in self.marked)
        self.marked = self.marked[-2:]
        self.refresh()

    def name_of(self, run: RunSummary) -> str:
        name = name_of(run.folder, self._here, self._home)
        return f"{'AB'[self.marked.index(run.folder)]} {name}" if run.folder in self.marked else name

    def heading(self, width: int) -> Text:
        """The line with the names of the columns, for a list of `width` cells."""
        line = head(filled(columns(width), width - len(CURSOR)), "bold")
        return Text.assemble(" " * len(CURSOR), line, no_wrap=True, end="")

    def line(self, index: int, width: int) -> Text:
        run = self.runs[index]
        shape = filled(columns(width), width - len(CURSOR))
        line = Text(self.mark(index), no_wrap=True, end="")
        parts = cells(run, self.name_of(run), self._clock(), width)
        # The whole line under the cursor has one colour, so that it looks like a bar.
        styled = ((text, "" if index == self.cursor else self.style_of(role)) for text, role in parts)
        return line.append_text(row(shape, styled))

    def style_of(self, role: str) -> str:
        """The style of a text with this role, in the current theme."""
        if not role:
            return ""
        try:
            return str(self.get_component_rich_style(f"run--{role}", partial=True))
        except KeyError:  # before the first layout, Textual knows no styles of the list
            return ""
