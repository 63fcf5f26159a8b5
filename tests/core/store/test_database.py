"""The database: opens whole after anything, holds any text, and only ever adds words to words."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.store import Store, candidate_pages, candidates, picks, seeds, stages
from faq_tui.core.store.candidates import Candidate, candidate_key
from faq_tui.core.store.migrate import all_migrations
from faq_tui.core.store.seeds import Seed
from tests.support.paths import ROOT

ON_DISK = settings(deadline=None, max_examples=40)
ANY_TEXT = st.text(st.characters(), max_size=20) | st.text("a\x00\ud800\udfffé😀", max_size=6)


def seed(number: int = 0) -> Seed:
    return Seed(({"role": "user", "content": f"question {number}"},), None, f"f:{number}")


def candidate(number: int = 1, **changes: Any) -> Candidate:
    base = Candidate(
        seed_id=seed().id,
        source="elder",
        number=number,
        source_hash="g1",
        model="Big",
        prompt_version="none",
        reasoning="because",
        answer="so",
        finish_reason="stop",
        flags=(),
        prompt_tokens=3,
        completion_tokens=4,
        seconds=0.5,
        dialect="reasoning_content",
    )
    return replace(base, **changes)


def opened(path: Path, count: int = 1) -> Store:
    store = Store(path)
    seeds.replace_all(store, [seed(number) for number in range(count)])
    seeds.assign_roles(store, seeds.ids(store), [])
    return store


def test_an_empty_file_becomes_the_newest_schema_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "faq.db"
    path.touch()
    schemas = []
    for _ in range(3):
        store = Store(path)
        assert store.db.execute("PRAGMA user_version").fetchone()[0] == len(all_migrations())
        assert store.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        schemas.append([tuple(row) for row in store.db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name")])
        store.close()
    assert schemas[0] and schemas[0] == schemas[1] == schemas[2]


def test_every_migration_starts_where_the_one_before_ended(tmp_path: Path) -> None:
    for applied in range(len(all_migrations()) + 1):
        path = tmp_path / f"{applied}.db"
        db = sqlite3.connect(path)
        for number, script in enumerate(all_migrations()[:applied], 1):
            db.executescript(f"{script.sql}\nPRAGMA user_version = {number};")
        db.close()
        opened(path).close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "faq.db")
    store.db.execute(f"PRAGMA user_version = {len(all_migrations()) + 1}")
    store.close()
    with pytest.raises(UsageError, match="newer faq-tui"):
        Store(tmp_path / "faq.db")


@pytest.mark.parametrize("content", [b"not a database " * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "faq.db"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a database that faq-tui can open"):
        Store(path)
    assert path.read_bytes() == content


def test_two_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    for attempt in range(40):
        faults: list[BaseException] = []
        start = threading.Barrier(3)

        def go(path: Path, start: threading.Barrier = start, faults: list[BaseException] = faults) -> None:
            start.wait()
            try:
                Store(path).close()
            except FaqError as error:
                faults.append(error)

        threads = [threading.Thread(target=go, args=(tmp_path / f"{attempt}.db",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults


def test_candidate_keys_are_unique_and_stable() -> None:
    # Fixed for good: another hash would ask for every candidate of every old run again.
    assert candidate_key("a" * 12, "b" * 16, 1) == "a52128fd050ba9f4"
    assert seed().id == "7040111f3c15"
    keys = {candidate_key(s, g, n) for s in ("s1", "s2", "s11") for g in ("g", "1g") for n in (1, 2, 11)}
    assert len(keys) == 18


def test_the_same_key_is_stored_once(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db")
    first = candidates.add(store, candidate(answer="first"))
    assert candidates.add(store, candidate(answer="second", source="renamed")) == first
    assert candidates.add(store, candidate(2)) != first
    found = candidates.current(store, "renamed", "g1")
    assert next((c.id, c.answer, c.source) for c in found) == (first, "first", "renamed")
    assert candidates.current(store, "elder", "g2") == []
    assert candidates.by_ids(store, [first, 999]) == {first: replace(candidate(answer="first"), id=first)}


@ON_DISK
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_survives(reasoning: str, answer: str, reason: str) -> None:
    with TemporaryDirectory() as folder:
        any_text_survives(Path(folder) / "faq.db", reasoning, answer, reason)


def any_text_survives(path: Path, reasoning: str, answer: str, reason: str) -> None:
    store = opened(path)
    row = candidates.add(store, candidate(reasoning=reasoning, answer=answer))
    picks.add_score(store, picks.ScoreRow(row, "j", "llm", 5.0, reason), reason)
    picks.add_picks(store, [(seed().id, "elder", "pick", row)], "person", reason, reason)
    stages.begin(store, "judge", "s", "j")
    stages.end(store, "judge", "failed", reason)
    store.close()
    store = Store(path)
    found = candidates.by_ids(store, [row])[row]
    assert (found.reasoning, found.answer) == (held(reasoning), held(answer))
    assert picks.overrides(store, "elder")[seed().id].reason == held(reason)
    assert stages.all_rows(store)["judge"].message == held(reason)
    store.close()


def held(text: str) -> str:
    """Pairs of surrogates are one character; lone ones become U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_a_lone_surrogate_becomes_one_replacement_character(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db")
    row = candidates.add(store, candidate(answer="a\ud800b\x00c"))
    assert candidates.by_ids(store, [row])[row].answer == "a\ufffdb\x00c"


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.core.store.test_database import candidate, opened
from faq_tui.core.store import candidates
store = opened(Path({path!r}))
for number in range(1, 100000):
    candidates.add(store, candidate(number, answer="x" * 500))
    print(number, flush=True)
"""


def test_kill_in_the_middle_of_writes_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "faq.db"
    code = WRITER.format(tests=str(ROOT), path=str(path))
    for round_number in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said = [child.stdout.readline() for _ in range(50)]
            time.sleep(0.01 * round_number)
            os.kill(child.pid, signal.SIGKILL)
            said += child.stdout.readlines()
        whole = [line for line in said if line.endswith("\n")]
        store = Store(path)
        assert store.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        numbers = {c.number for c in candidates.current(store, "elder", "g1")}
        assert set(range(1, int(whole[-1]) + 1)) <= numbers  # what was said to be stored is there
        assert all(c.answer == "x" * 500 for c in candidates.current(store, "elder", "g1"))
        store.close()


def test_a_full_disk_is_a_sentence_and_the_next_write_works(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db")
    pages = store.db.execute("PRAGMA page_count").fetchone()[0]
    store.db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(FaqError, match="no space left"):
        for number in range(1, 50):
            candidates.add(store, candidate(number, answer="x" * 5000))
    before = len(candidates.current(store, "elder", "g1"))
    store.db.execute("PRAGMA max_page_count = 100000")
    candidates.add(store, candidate(60))
    assert len(candidates.current(store, "elder", "g1")) == before + 1


def test_an_error_inside_a_transaction_undoes_it(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db", 3)

    def half() -> Any:
        yield seed(10)
        raise ValueError("the file ends here")

    with pytest.raises(ValueError, match="the file ends"):
        seeds.replace_all(store, half())
    assert seeds.ids(store) == [seed(number).id for number in range(3)]


def test_seeds_that_left_the_file_keep_their_candidates(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db", 2)
    candidates.add(store, candidate())
    seeds.replace_all(store, [seed(1)])
    assert seeds.ids(store) == [seed(1).id]
    assert candidates.current(store, "elder", "g1") == []
    seeds.replace_all(store, [seed(1), seed(0)])
    seeds.assign_roles(store, [seed(0).id], [seed(1).id])
    assert len(candidates.current(store, "elder", "g1")) == 1
    assert seeds.counts(store) == {"chosen": 1, "heldout": 1, "pool": 0}


def test_a_seed_is_found_by_id_start_and_label(tmp_path: Path) -> None:
    store = Store(tmp_path / "faq.db")
    seeds.replace_all(store, [replace(seed(n), label=f"label-{n}") for n in range(40)])
    assert seeds.find(store, seed(3).id) == seeds.find(store, seed(3).id[:8]) == seeds.find(store, "label-3")
    with pytest.raises(UsageError, match="no seed"):
        seeds.find(store, "label-99")
    with pytest.raises(UsageError, match="more than one"):
        seeds.find(store, "")


# ---- picks: the person's last word, else the judge's

SEEDS, SOURCES, JUDGES = 2, ("elder", "own"), ("j1", "j2")
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["judge", "pick", "reject", "clear"]),
        st.integers(0, SEEDS - 1),
        st.sampled_from(SOURCES),
        st.sampled_from(JUDGES),
        st.none() | st.integers(1, 4),
    ),
    max_size=25,
)


@ON_DISK
@given(OPERATIONS)
def test_the_person_has_the_last_word_and_rows_are_only_added(operations: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        the_person_has_the_last_word(Path(folder) / "faq.db", operations)


def the_person_has_the_last_word(path: Path, operations: list[Any]) -> None:
    store = opened(path, SEEDS)
    rows = {n: candidates.add(store, candidate(n)) for n in (1, 2, 3)}
    old = rows[4] = candidates.add(store, replace(candidate(4), source_hash="before"))  # its pick counts no more
    judged: dict[Any, int | None] = {}
    said: dict[Any, int | None] = {}
    history: list[Any] = []
    for what, number, source, judge, chosen in operations:
        seed_id, picked = seed(number).id, rows.get(chosen)
        if what == "judge":
            action = "pick" if picked else "reject"
            picks.add_picks(store, [(seed_id, source, action, picked)], "judge", judge, "")
            judged[seed_id, source, judge] = picked
        else:
            picked = (picked or rows[1]) if what == "pick" else None
            picks.add_picks(store, [(seed_id, source, what, picked)], "person", "me", "")
            if what == "clear":
                said.pop((seed_id, source), None)
            else:
                said[seed_id, source] = picked
        now = [tuple(row) for row in store.db.execute("SELECT * FROM picks ORDER BY id")]
        assert now[: len(history)] == history and len(now) == len(history) + 1
        history = now
    for source in SOURCES:
        for judge in JUDGES:
            expected = {s: ("judge", c) for (s, o, j), c in judged.items() if (o, j) == (source, judge) and c != old}
            expected |= {s: ("person", c) for (s, o), c in said.items() if o == source and c != old}
            current = picks.current(store, source, judge, candidate().source_hash)
            assert {s: (p.picked_by, p.candidate_id) for s, p in current.items()} == expected
    store.close()


def test_a_second_mark_of_the_same_judge_replaces_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db")
    row = candidates.add(store, candidate())
    picks.add_score(store, picks.ScoreRow(row, "j1", "llm", 3.0))
    picks.add_score(store, picks.ScoreRow(row, "j1", "llm", 9.0))
    picks.add_score(store, picks.ScoreRow(row, "j2", "llm", None))
    assert (picks.scores_of(store, "j1"), picks.scores_of(store, "j2")) == ({row: 3.0}, {row: None})


@pytest.mark.parametrize("name", ["50% done", "what?", "a#b", "plain"])
def test_totals_are_read_at_any_path(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    path = tmp_path / name / "faq.db"
    store = opened(path)
    candidates.add(store, candidate(flags=("truncated",)))
    assert candidate_pages.totals(path, "g1") == candidate_pages.Totals(1, 1, 4)
    assert candidate_pages.totals(path, "g2") == candidate_pages.Totals(0, 0, 0)
