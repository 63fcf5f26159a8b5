"""The status of a run takes little memory, and reads neither candidates' nor seeds' texts."""

from __future__ import annotations

import sqlite3
import tracemalloc
from pathlib import Path

from faq_tui.core.overrides import pick, reject
from faq_tui.core.run.run import open_run
from faq_tui.core.status import status_of
from faq_tui.core.store import seeds
from tests.support.judged_run import make_review_run, seed_ids

TEXTS = {("candidates", "reasoning"), ("candidates", "answer"), ("seeds", "messages"), ("seeds", "answer")}


def peak_of(folder: Path) -> int:
    """The most bytes that a status takes. The run is opened anew, so that nothing is known from earlier."""
    with open_run(folder) as run:
        tracemalloc.start()
        try:
            status_of(run)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_the_memory_of_a_status_grows_by_ids_only(tmp_path: Path) -> None:
    small, large = (make_review_run(tmp_path / str(count), count) for count in (40, 240))
    peak_of(small)  # imports
    assert (peak_of(large) - peak_of(small)) / 200 < 700  # bytes a seed; its three candidates have 4,000 characters


def test_no_text_is_read_while_no_candidate_is_missing(tmp_path: Path) -> None:
    folder = make_review_run(tmp_path / "run", 6, unusable=1)
    ids, read = seed_ids(folder), set[tuple[str | None, str | None]]()

    def note(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ:
            read.add((table, column))
        return sqlite3.SQLITE_OK

    with open_run(folder) as run:
        pick(run, ids[0], "elder", 3, "")
        reject(run, ids[1], "elder", "")
        seeds.toggle_excluded(run.store, ids[4], "me")
        run.store.db.set_authorizer(note)
        source = status_of(run)["sources"]["elder"]
    assert ("candidates", "flags") in read and not read & TEXTS
    counts = ("candidates", "wanted", "unfit", "scored", "picked", "picked_by_person", "rejected", "tokens")
    # seed 4 is excluded, and all answers to seed 5 are loops; a pick stays when its seed is excluded
    assert [source[name] for name in counts] == [15, 15, 3, 12, 4, 1, 2, 300]
