"""Counts and summaries that SQLite computes are those of a loop over all rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.judging.identity import chosen_picks, pick_counts
from faq_tui.core.overrides import pick, reject
from faq_tui.core.run.run import open_run
from faq_tui.core.store import Store, seeds
from faq_tui.core.store.judged import ScoreSummary, summary_of
from tests.support.judged_run import make_judged_run

SCORES = st.lists(st.one_of(st.none(), st.floats(0, 10)), max_size=12)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("judged") / "faq.db")
    store.db.execute("PRAGMA foreign_keys = OFF")  # scores without candidates
    yield store
    store.close()


@given(scores=SCORES, marks=st.binary(max_size=14).map(lambda drawn: bytearray(byte % 2 for byte in drawn)))
def test_the_summary_of_marked_scores(store: Store, scores: list[float | None], marks: bytearray) -> None:
    with store.writing() as db:
        db.execute("DELETE FROM scores")
        row = (
            "INSERT INTO scores (candidate_id, judge, kind, score, reason, raw, created)"
            " VALUES (?, ?, '', ?, '', '', 0)"
        )
        db.executemany(row, [(number, "j", score) for number, score in enumerate(scores)])
        db.executemany(row, [(number, "other", 5.0) for number in range(14)])
    marked = [score for number, score in enumerate(scores) if number < len(marks) and marks[number]]
    known = [score for score in marked if score is not None]
    found = summary_of(store, "j", marks)
    mean = fmean(known) if known else None
    assert found.mean == (None if mean is None else pytest.approx(mean))
    ends = min(known, default=None), max(known, default=None)
    assert found == ScoreSummary(len(known), len(marked) - len(known), found.mean, *ends)


def test_counts_of_picks_are_those_of_the_picks(tmp_path: Path) -> None:
    """Also with picks of candidates under earlier settings, which do not count."""
    folder = make_judged_run(tmp_path / "run")
    with open_run(folder) as run:
        first, second, *_ = seeds.ids_by_role(run.store, "chosen")
        pick(run, first, "elder", 2, "")
        reject(run, second, "elder", "")
    text = (folder / "faq.toml").read_text()
    for toml, some in ((text, True), (text.replace("Big-32B", "Big-33B"), False)):
        (folder / "faq.toml").write_text(toml)
        with open_run(folder) as run:
            found, picks = pick_counts(run, "elder"), chosen_picks(run, "elder").values()
            by_person = [one for one in picks if one.candidate_id is not None and one.picked_by == "person"]
            assert found.by_person == len(by_person) == some
            assert found.picked == sum(one.candidate_id is not None for one in picks)
            assert found.rejected == sum(one.candidate_id is None for one in picks)
            assert bool(found.picked) is some
