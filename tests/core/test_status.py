"""The state of a run: after a person lowers a setting, no count is above the setting. Neither the candidates' nor the
seeds' texts are read."""

from __future__ import annotations

import re
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.overrides import pick, reject
from faq_tui.core.report.facts import what_was_run
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, StageStarted
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.source_views import views_of
from faq_tui.core.stages import regenerate
from faq_tui.core.status import status_of
from faq_tui.core.store import candidate_pages, judged, seed_pages, seeds
from tests.support.judged_run import make_judged_run, make_review_run, seed_ids

WANTED, SEEDS = 2, 3  # the lowered settings; the run has three candidates of each of four seeds


def lowered(folder: Path) -> Path:
    """A run whose person has lowered `candidates` and the number of seeds, before any stage ran again."""
    text = make_judged_run(folder).joinpath("faq.toml").read_text()
    fewer = re.sub(r"(\[sources\.\w+\]\n)", rf"\1candidates = {WANTED}\n", text)
    (folder / "faq.toml").write_text(fewer)
    with open_run(folder) as run:
        everyone = seeds.ids(run.store)
        seeds.assign_roles(run.store, everyone[:SEEDS], [everyone[4]])
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Any:
    with open_run(lowered(tmp_path / "run")) as opened:
        yield opened


def test_status_counts_nothing_beyond_the_settings(run: Run) -> None:
    for source in status_of(run)["sources"].values():
        assert source["wanted"] == WANTED * SEEDS == source["candidates"]
        assert source["scored"] == WANTED * SEEDS
        assert source["unfit"] == 0 and source["tokens"] == 20 * WANTED * SEEDS
        assert source["picked"] + source["rejected"] == SEEDS
        assert source["to_come"]["candidates"] == 0


def test_the_report_counts_nothing_beyond_the_settings(run: Run) -> None:
    for source in what_was_run(run)["sources"]:
        assert source["candidates"] == source["fit"] == source["with_reasoning"] == WANTED * SEEDS
        assert source["candidates_per_seed"] == WANTED and source["unfit"] == {}
        assert source["picked_by_judge"] + source["picked_by_person"] + source["without_pick"] == SEEDS


def test_the_events_and_the_summary_count_nothing_beyond_the_settings(run: Run) -> None:
    events: list[Event] = []
    summary = regenerate.execute(Context(run, events.append, CancelToken(), "job"))
    [started] = [event for event in events if isinstance(event, StageStarted)]
    assert (started.total, started.already) == (0, 2 * WANTED * SEEDS)
    assert summary.count(f"{WANTED * SEEDS} candidates, {20 * WANTED * SEEDS} tokens, 0 unusable") == 2


def test_the_lists_of_the_panes_count_nothing_beyond_the_settings(run: Run) -> None:
    for view in views_of(run):
        totals = candidate_pages.totals(run.store.path, view.source_hash, view.candidates)
        assert (totals.candidates, totals.tokens) == (WANTED * SEEDS, 20 * WANTED * SEEDS)
        counts = candidate_pages.answered(run.store, view.source_hash, view.candidates, seeds.ids(run.store))
        assert {one.done for one in counts.values()} == {WANTED}
        rows = seed_pages.rows_at(run.store, view, range(6))
        assert {row.made for row in rows.values()} == {0, WANTED}
        # The judge picked candidate 3 of the third seed, so it has to pick again.
        states = [rows[position].state for position in range(3)]
        assert states[2] == "not judged" and states[0] == "picked"
        standings = judged.standings(run.store, view)
        assert [standing.judged for standing in standings] == [True, True, False]


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
    # seed 4 is excluded, and all answers to seed 5 are loops
    assert [source[name] for name in counts] == [15, 15, 3, 12, 3, 1, 2, 300]
