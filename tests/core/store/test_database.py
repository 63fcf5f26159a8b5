"""The database: opens whole after anything, holds any text, and only ever adds words to words."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode, FaqError, UsageError
from faq_tui.core.store import Store, candidate_pages, candidates, database, picks, seeds, stages
from faq_tui.core.store.database import connect_to_read
from faq_tui.core.store.migrate import COUNTED, TABLE, all_migrations
from tests.support.paths import ROOT
from tests.support.store_bench import candidate, opened, seed


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


def test_on_a_shared_file_system_no_memory_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write-ahead logging works only among the processes of one machine."""
    Store(tmp_path / "faq.db").close()
    monkeypatch.setattr(database, "is_shared", lambda folder: folder == tmp_path)
    store = Store(tmp_path / "faq.db")
    assert store.db.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    stages.begin(store, "seeds", "1", "job")
    assert list(tmp_path.glob("faq.db?*")) == []
    store.close()


def test_every_migration_starts_where_the_one_before_ended(tmp_path: Path) -> None:
    for applied in range(len(all_migrations()) + 1):
        path = tmp_path / f"{applied}.db"
        db = sqlite3.connect(path)
        for number, script in enumerate(all_migrations()[:applied], 1):
            if number > len(COUNTED):
                db.execute(TABLE)
                db.executemany(
                    "INSERT OR IGNORE INTO migrations VALUES (?, 0)", [(n,) for n in (*COUNTED, script.name)]
                )
                db.commit()
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


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.support.store_bench import candidate, opened
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


# ---- picks: the person's last word, else the judge's


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
    assert candidate_pages.totals(path, "g1", 3) == candidate_pages.Totals(1, 1, 4)
    assert candidate_pages.totals(path, "g2", 3) == candidate_pages.Totals(0, 0, 0)


def test_a_removed_file_takes_no_change_and_a_database_in_memory_does(tmp_path: Path) -> None:
    store = Store(tmp_path / "faq.db")
    stages.begin(store, "seeds", "signature", "job")
    (tmp_path / "faq.db").unlink()
    with pytest.raises(FaqError, match="was removed: nothing was stored"):
        stages.begin(store, "judge", "signature", "job")
    store.close()
    memory = Store(Path(":memory:"))
    stages.begin(memory, "judge", "signature", "job")
    assert list(stages.all_rows(memory)) == ["judge"]
    memory.close()


def test_what_is_known_is_read_again_after_a_change_of_any_connection(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "faq.db"), Store(tmp_path / "faq.db")
    reads: list[str] = []

    def read() -> int:
        reads.append("read")
        return len(reads)

    assert [one.known("a", read), one.known("a", read), one.known("b", read)] == [1, 1, 2]
    stages.begin(other, "seeds", "signature", "job")
    assert one.known("a", read) == 3
    stages.end(one, "seeds", "done")
    assert [one.known("a", read), one.known("a", read)] == [4, 4]


def test_the_log_of_a_killed_process_is_read_where_no_file_can_be_created(tmp_path: Path) -> None:
    """On a full disk, and in a read-only folder, SQLite cannot create its third file. Here, a folder prevents it."""
    path = tmp_path / "faq.db"
    store = Store(path)
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with store.writing() as db:
        db.execute("INSERT INTO migrations VALUES ('only in the log', 0)")
    copy = tmp_path / "killed" / "faq.db"
    (copy.parent / "faq.db-shm").mkdir(parents=True)
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    store.close()
    found = connect_to_read(copy).execute("SELECT count(*) FROM migrations WHERE name = 'only in the log'")
    assert found.fetchone() == (1,)
    assert sorted(one.name for one in copy.parent.iterdir()) == ["faq.db", "faq.db-shm", "faq.db-wal"]


def test_a_file_system_without_locks_is_named_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.3)
    path = tmp_path / "faq.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    with pytest.raises(FaqError, match=r"locked by another process.* has no file locks: move the run"):
        Store(path)
    assert time.monotonic() - began < 3


def test_a_file_that_cannot_be_written_is_not_called_damaged(tmp_path: Path) -> None:
    """SQLite cannot open a folder. A read-only disk has the same effect, but root cannot make a folder read-only."""
    (tmp_path / "faq.db").mkdir()
    with pytest.raises(FaqError, match=r"cannot be written .* check the permissions") as error:
        Store(tmp_path / "faq.db")
    assert error.value.exit_code == ExitCode.FAILED


def test_a_damaged_file_is_to_be_restored(tmp_path: Path) -> None:
    path = tmp_path / "faq.db"
    opened(path, 50).close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(UsageError, match=r"malformed.*restore a copy of the file"):
        Store(path)
