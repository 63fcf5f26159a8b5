"""Read all runs in a thread, so that the screen never waits for a disk."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from faq_tui.core.run.known_runs import find_runs, is_run
from faq_tui.core.run_summary import RunSummary, is_running, stale_stages, summarise, with_disk

LOOK_EVERY_S = 3.0  # seconds between two searches for runs that have a job
T = TypeVar("T")


class RunScanner:
    """Finds the runs, then watches them for jobs that begin or end.

    `take` returns what the threads have read since the last call of `take`. Call `take` from the UI thread.
    """

    def __init__(self, here: Path) -> None:
        self._here = here
        self._news: queue.SimpleQueue[RunSummary] = queue.SimpleQueue()
        self._stale: queue.SimpleQueue[tuple[Path, list[str]]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._again = threading.Event()
        self._states: dict[Path, RunSummary] = {}
        self._gone: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self.complete = False  # True when all runs are found

    def start(self) -> None:
        threading.Thread(target=self._scan, name="find-runs", daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._again.set()

    def reload(self) -> None:
        """Search for runs again."""
        self.complete = False
        self._again.set()

    def take(self) -> list[RunSummary]:
        return _all_of(self._news)

    def take_gone(self) -> list[Path]:
        """Return the folders that no longer contain a run."""
        return _all_of(self._gone)

    def take_stale(self) -> list[tuple[Path, list[str]]]:
        return _all_of(self._stale)

    def ask_stale(self, folder: Path) -> None:
        """Start a thread that finds out which stages of this run are out of date."""
        threading.Thread(target=self._find_stale, args=(folder,), name="find-stale", daemon=True).start()

    def _find_stale(self, folder: Path) -> None:
        try:
            stale = stale_stages(folder)
        except Exception:  # noqa: BLE001  a fault in one run must not end the app
            stale = []  # the run's row in the list shows the fault
        self._stale.put((folder, stale))

    def _scan(self) -> None:
        while not self._closed.is_set():
            self._again.clear()
            self._find()
            while not self._again.wait(LOOK_EVERY_S):
                self._look_again()

    def _find(self) -> None:
        found = []
        for folder in find_runs(self._here):
            if self._closed.is_set():
                return
            found.append(folder)
            before = self._states.get(folder)
            self._publish(replace(_summary(folder), disk=before.disk if before else None))
        for gone in self._states.keys() - set(found):
            self._remove(gone)
        self.complete = True
        for folder in found:
            if self._closed.is_set():
                return
            if folder in self._states:
                self._publish(with_disk(self._states[folder]))

    def _publish(self, summary: RunSummary) -> None:
        self._states[summary.folder] = summary
        self._news.put(summary)

    def _remove(self, folder: Path) -> None:
        self._states.pop(folder, None)
        self._gone.put(folder)

    def _look_again(self) -> None:
        """Read the runs with a running job again, and the runs where a job has just begun or ended."""
        for folder, before in list(self._states.items()):
            try:
                now = is_running(folder)
            except OSError:
                continue
            if not is_run(folder):
                self._remove(folder)
            elif now:
                self._publish(replace(_summary(folder), disk=before.disk))
            elif before.state == "running":
                self._publish(with_disk(_summary(folder)))


def _summary(folder: Path) -> RunSummary:
    """The summary of the run. If reading the run raises an unexpected error, the summary names this error."""
    try:
        return summarise(folder)
    except Exception as error:  # noqa: BLE001  the thread must live on
        message = f"{folder} cannot be read ({type(error).__name__}: {error})"
        return RunSummary(folder, "broken", message=message, changed=time.time())


def _all_of(news: queue.SimpleQueue[T]) -> list[T]:
    taken = []
    while not news.empty():
        taken.append(news.get_nowait())
    return taken
