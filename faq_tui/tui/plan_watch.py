"""Keep the plan of the run up to date while the app is open. A thread does the work, because it reads files."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.run.run import open_run
from faq_tui.core.run_plan import RunPlan, plan_of
from faq_tui.core.store.database import open_to_read
from faq_tui.tui.run_version import version_of

LOOK_EVERY_S = 0.5
READ_SHARE = 20  # after each plan, wait at least 20 times as long as making this plan took


class PlanWatch:
    """Makes the plan again after each change of the database, of `faq.toml` or of the list of artefacts."""

    def __init__(self, folder: Path, on_plan: Callable[[RunPlan], None]) -> None:
        """`on_plan` is called on the thread, with each new plan."""
        self._folder, self._on_plan = folder, on_plan
        self._wake, self._closed = threading.Event(), False
        self._latest: RunPlan | None = None

    def open(self) -> None:
        threading.Thread(target=self._watch, name="plan", daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def look(self) -> None:
        """Make the plan again now."""
        self._wake.set()

    def _watch(self) -> None:
        try:
            with closing(open_to_read(self._folder / "faq.db")) as db:
                self._watch_for_changes(db)
        except sqlite3.Error:
            return  # the run's folder was removed

    def _watch_for_changes(self, db: sqlite3.Connection) -> None:
        seen: object = None
        while not self._closed:
            state = version_of(db, self._folder / "faq.toml", self._folder / "models")
            asked = self._wake.is_set()
            self._wake.clear()
            pause = LOOK_EVERY_S
            if asked or state != seen:
                seen = state
                pause = max(pause, READ_SHARE * self._make())
            self._wake.wait(pause)

    def _make(self) -> float:
        """Make the plan, and return how many seconds that took.

        While the settings are invalid, the last plan stays.
        """
        began = time.monotonic()
        try:
            with open_run(self._folder, read_only=True) as run:
                plan = plan_of(run)
        except UsageError:
            plan = self._latest or RunPlan()
        except Exception:  # noqa: BLE001  a plan that cannot be made must not disturb the screen
            plan = RunPlan()
        if plan != self._latest and not self._closed:
            self._latest = plan
            self._on_plan(plan)
        return time.monotonic() - began
