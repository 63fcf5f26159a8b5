"""The dialogs of Home: the question before a deletion, and the checks of this machine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.doctor import Check, machine_checks
from faq_tui.core.run.delete_run import Deletion
from faq_tui.core.run_summary import size_in_words
from faq_tui.tui.screens.choice import Answer, ChoiceScreen
from faq_tui.tui.widgets.dialog import TextDialog
from faq_tui.tui.widgets.text import LiteralText

DELETE, KEEP = "delete", "keep"
MOST_NAMES = 4
MARKS = {"ok": ("ok", "green"), "warning": ("??", "yellow"), "failed": ("NO", "red")}


class DeleteScreen(ChoiceScreen):
    """Ask whether to delete the run. The question names the folder, the size and the files that stay.

    The focus is on the answer that keeps the run, so that `enter` alone deletes nothing.
    """

    def __init__(self, plan: Deletion) -> None:
        question = f"Delete the run in {plan.folder}?\n\nThis frees {size_in_words(plan.size)} and cannot be undone."
        if plan.kept:
            names = ", ".join(sanitize(name, 40) for name in plan.kept[:MOST_NAMES])
            more = len(plan.kept) - MOST_NAMES
            names += f" and {more} more" if more > 0 else ""
            question += f"\nThe folder and the files that faq-tui did not write stay: {names}."
        super().__init__(question, (Answer("y", DELETE, "Yes, delete it"), Answer("escape", KEEP, "Keep it")))

    def on_mount(self) -> None:
        self.query_one(f"#answer-{KEEP}").focus()


class MachineScreen(TextDialog):
    """The checks that `faq-tui doctor` makes without a run."""

    DEFAULT_CSS = """
    MachineScreen > #dialog { width: 100; }
    MachineScreen Static { width: 1fr; height: auto; }
    """

    def __init__(self, here: Path) -> None:
        super().__init__("This machine")
        self._here = here
        self._text = Static("Checking this machine …", markup=False)

    def body(self) -> ComposeResult:
        yield self._text
        yield LiteralText("`faq-tui doctor RUN` also checks the model and the servers of a run.", classes="hint")

    def on_mount(self) -> None:
        threading.Thread(target=self._check, name="doctor", daemon=True).start()

    def _check(self) -> None:
        app: Any = self.app
        try:
            text: Table | Text = checks_as_table(machine_checks(self._here))
        except (FaqError, OSError) as error:
            text = Text(sanitize(str(error)), "red")
        if app.is_running:
            app.call_from_thread(self._show, text)

    def _show(self, text: Table | Text) -> None:
        if self.is_attached:
            self._text.update(text)


def checks_as_table(checks: list[Check]) -> Table:
    """One row for each check, and a row for its advice."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        mark, style = MARKS[check.state]
        table.add_row(Text(mark, style), Text(check.name, "bold"), Text(sanitize(check.found)))
        if check.advice:
            table.add_row("", "", Text(f"→ {sanitize(check.advice)}", "yellow"))
    return table
