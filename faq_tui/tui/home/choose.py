"""A list of runs from which a person chooses the run to compare with the open one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from faq_tui.core.run_summary import RunSummary
from faq_tui.tui.home.rows import in_order
from faq_tui.tui.home.run_list import RunList
from faq_tui.tui.home.scan import RunScanner
from faq_tui.tui.widgets.list import index_of
from faq_tui.tui.widgets.text import LiteralText

HZ = 10
KEYS = "enter compare  ↓ ↑ choose  esc back"
NONE = "There is no other run in this folder, and no other run was opened before."


class ChooseRunScreen(ModalScreen[Path | None]):
    """Returns the folder of the chosen run, or None."""

    DEFAULT_CSS = (Path(__file__).parents[1] / "compare.tcss").read_text(encoding="utf-8")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Back"),
        Binding("enter,l,right", "choose", "Compare"),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("pagedown,ctrl+d,space", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
    ]

    def __init__(self, opened: Path, clock: Callable[[], float] = time.time) -> None:
        """`opened` is the folder of the open run.

        The list has the other runs in the same parent folder, and runs that the user opened before.
        """
        super().__init__()
        self._opened = opened.resolve()
        self._scanner = RunScanner(self._opened.parent)
        self._runs: dict[Path, RunSummary] = {}
        self._list = RunList(self._opened.parent, clock, "compare-runs")
        self._columns = LiteralText(id="compare-columns")
        self._header = LiteralText(f"Compare {self._opened.name} with …", id="compare-header")

    def compose(self) -> ComposeResult:
        yield self._header
        yield self._columns
        yield self._list
        yield LiteralText(KEYS, id="compare-footer")

    def on_mount(self) -> None:
        self._scanner.start()
        self.set_interval(1 / HZ, self._pump)

    def on_unmount(self) -> None:
        self._scanner.close()

    def _pump(self) -> None:
        news = [run for run in self._scanner.take() if run.folder != self._opened]
        for folder in self._scanner.take_gone():
            self._runs.pop(folder, None)
        self._runs |= {run.folder: run for run in news}
        runs = in_order(self._runs.values())
        before = self._list.selected
        self._list.runs, self._list.count = runs, len(runs)
        folders = [run.folder for run in runs]
        self._list.cursor = index_of(before.folder if before else None, folders, self._list.cursor)
        self._list.refresh()
        self._columns.show(self._list.heading(self.size.width - 2))
        if self._scanner.complete and not runs:
            self._header.show(NONE)

    def on_line_list_line_clicked(self, message: RunList.LineClicked) -> None:
        message.stop()
        if message.again:
            self.action_choose()

    def action_move(self, by: int) -> None:
        self._list.move(by)

    def action_page(self, pages: int) -> None:
        self._list.move(pages * self._list.page)

    def action_choose(self) -> None:
        run = self._list.selected
        if run is None:
            return
        if run.state == "broken":
            self.notify(run.message, severity="error", markup=False)
        else:
            self.dismiss(run.folder)

    def action_close(self) -> None:
        self.dismiss(None)
