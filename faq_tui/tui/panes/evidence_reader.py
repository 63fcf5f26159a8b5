"""Threads of the pane `evidence` that read the run and write its report: the screen never waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.report import document
from faq_tui.core.report.formats import write
from faq_tui.core.run.run import Run, open_run
from faq_tui.tui.panes.evidence_found import LoadedEvidence, read


class Reader:
    """Reads one at a time; what changes meanwhile is read right after."""

    def __init__(self, folder: Path, tell: Callable[[LoadedEvidence], None]) -> None:
        """`tell` is called on the reading thread, whenever something has changed."""
        self._folder, self._tell = folder, tell
        self._lock = threading.Lock()
        self._reading = self._again = False
        self._known: object = None

    @property
    def busy(self) -> bool:
        return self._reading

    def look(self) -> None:
        """Read what is there now, if it is not what was read last."""
        with self._lock:
            self._again = True
            if self._reading:
                return
            self._reading = True
        threading.Thread(target=self._work, name="evidence", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._again:
                    self._reading = False
                    return
                self._again = False
            found = read(self._folder, self._known)
            if found is not None:
                self._known = found.state
                self._tell(found)


def export(run: Run, tell: Callable[[str, bool], None]) -> None:
    """Write the report on a thread; `tell` hears there in a sentence where it is, or why it failed (then True)."""
    threading.Thread(target=_export, args=(run, tell), name="export", daemon=True).start()


def _export(run: Run, tell: Callable[[str, bool], None]) -> None:
    try:
        if run.store.read_only:
            raise UsageError("this is a replay: nothing is written")
        with open_run(run.folder, read_only=True) as opened:
            paths = list(write(opened, document(opened)))
        tell(f"Wrote {', '.join(path.name for path in paths)} to {paths[0].parent}", False)
    except (FaqError, OSError) as error:
        tell(str(error), True)
