"""Migrations are known by their names: each is applied to a database exactly once, in the order of their numbers."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.store import Store, migrate
from faq_tui.core.store.migrate import COUNTED, Migration, all_migrations, applied_names, read_migrations

LATE = Migration("0008_late", "CREATE TABLE late (n INTEGER);")
NEXT = Migration("9999_next", "CREATE TABLE next (n INTEGER);")


def counted(path: Path, count: int) -> Path:
    """A database as 0ebf15d left it: `count` migrations applied, and nothing but their number recorded."""
    with closing(sqlite3.connect(path)) as db:
        for migration in all_migrations()[:count]:
            db.executescript(migration.sql)
        db.execute(f"PRAGMA user_version = {count}")
    return path


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return applied_names(db)


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def with_further(monkeypatch: pytest.MonkeyPatch, *further: Migration) -> None:
    found = tuple(sorted((*all_migrations(), *further), key=lambda migration: migration.name))
    monkeypatch.setattr(migrate, "all_migrations", lambda: found)


def test_the_counted_ones_are_those_of_0ebf15d() -> None:
    """What `PRAGMA user_version` counted before names were recorded. No later migration may be put in here."""
    last = ("07_quantize", "09_evidence", "10_benchmarks", "11_token_kl", "12_heldout_words")
    first = ("01_first", "02_browse", "03_regenerate", "04_judge", "05_activations", "06_sets")
    assert list(COUNTED) == [f"00{name}" for name in (*first, *last)]
    assert [migration.name for migration in all_migrations()][: len(COUNTED)] == list(COUNTED)


@pytest.mark.parametrize("count", range(len(COUNTED) + 1))
def test_a_counted_database_is_brought_over_once(tmp_path: Path, count: int) -> None:
    path = counted(tmp_path / "faq.db", count)
    for _ in range(2):
        Store(path).close()
        assert names(path) == [migration.name for migration in all_migrations()]


def test_a_late_migration_of_a_lower_number_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions that count by position would run 0012 again here, which empties a table."""
    path = counted(tmp_path / "faq.db", len(COUNTED))
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO heldout_items VALUES ('t', 'i', 0, '{}')")
        db.commit()
    with_further(monkeypatch, LATE)
    store = Store(path)
    assert store.db.execute("SELECT count(*) FROM heldout_items").fetchone()[0] == 1
    store.close()
    assert "late" in tables(path) and LATE.name in names(path)


def test_a_gap_is_no_migration_and_a_new_file_gets_all_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_further(monkeypatch, NEXT, LATE)
    Store(tmp_path / "faq.db").close()
    assert names(tmp_path / "faq.db") == [migration.name for migration in migrate.all_migrations()]
    assert {"late", "next"} <= tables(tmp_path / "faq.db")


def test_two_files_of_one_number_and_names_without_one_are_refused(tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0002_b.sql"):
        (tmp_path / name).write_text("SELECT 1;")
    assert [migration.name for migration in read_migrations(tmp_path)] == ["0001_a", "0002_b"]
    (tmp_path / "0002_c.sql").write_text("SELECT 1;")
    with pytest.raises(FaqError, match="0002_b and 0002_c have the same number"):
        read_migrations(tmp_path)
    (tmp_path / "0002_c.sql").rename(tmp_path / "last.sql")
    with pytest.raises(FaqError, match="last"):
        read_migrations(tmp_path)


@pytest.mark.parametrize("further", [NEXT, LATE, Migration("0012_another", "SELECT 1;")], ids=lambda m: m.name)
@pytest.mark.parametrize("read_only", [False, True])
def test_an_unknown_migration_means_a_newer_faq_tui(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, further: Migration, read_only: bool
) -> None:
    path = tmp_path / "faq.db"
    with monkeypatch.context() as newer:
        with_further(newer, further)
        Store(path).close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"written by a newer faq-tui .*{further.name}.*upgrade faq-tui"):
        Store(path, read_only)
    assert path.read_bytes() == before


def test_a_counted_database_of_more_migrations_is_newer(tmp_path: Path) -> None:
    path = counted(tmp_path / "faq.db", len(COUNTED))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(COUNTED) + 1}")
    with pytest.raises(UsageError, match="newer faq-tui"):
        Store(path)


def test_0ebf15d_opens_what_it_knows_and_refuses_what_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That code reads nothing but `user_version`: it refuses a number above 11."""

    def version(path: Path) -> int:
        with closing(sqlite3.connect(path)) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])

    with monkeypatch.context() as same:
        known = all_migrations()[: len(COUNTED)]
        same.setattr(migrate, "all_migrations", lambda: known)
        Store(counted(tmp_path / "old.db", len(COUNTED))).close()
        assert version(tmp_path / "old.db") == len(COUNTED)
    with_further(monkeypatch, LATE)
    Store(tmp_path / "new.db").close()
    assert version(tmp_path / "new.db") > len(COUNTED)


def test_reading_a_current_database_copies_nothing(tmp_path: Path) -> None:
    """A copy in memory would cost as much memory as the file is large."""
    path = counted(tmp_path / "faq.db", len(COUNTED))
    Store(path).close()
    before = path.read_bytes()
    store = Store(path, read_only=True)
    assert Path(store.db.execute("PRAGMA database_list").fetchone()["file"]) == path
    store.close()
    assert path.read_bytes() == before


def test_an_older_database_is_read_in_memory(tmp_path: Path) -> None:
    path = counted(tmp_path / "faq.db", 5)
    before = path.read_bytes()
    store = Store(path, read_only=True)
    assert store.db.execute("SELECT count(*) FROM benchmark_results").fetchone()[0] == 0
    store.close()
    assert path.read_bytes() == before


def test_a_failing_migration_leaves_the_database_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "faq.db"
    with monkeypatch.context() as broken:
        with_further(broken, Migration("9999_next", f"{NEXT.sql}\nINSERT INTO nowhere VALUES (1);"))
        with pytest.raises(UsageError, match="is not a database that faq-tui can open"):
            Store(path)
    assert "next" not in tables(path) and NEXT.name not in names(path)
    with_further(monkeypatch, NEXT)
    Store(path).close()
    assert names(path)[-1] == NEXT.name


KILLED = """
import os, signal, sys
from pathlib import Path
from faq_tui.core.store import Store, migrate
from faq_tui.core.store.migrate import Migration, all_migrations
stop = Migration("9999_next", "CREATE TABLE next (n INTEGER);\\nSELECT end_of_process();\\nCREATE TABLE more (n);")
found = (*all_migrations(), stop)
migrate.all_migrations = lambda: found
begin = migrate.bring_up_to_date
def with_function(db, path):
    db.create_function("end_of_process", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    begin(db, path)
migrate.bring_up_to_date = with_function
Store(Path(sys.argv[1]))
"""


def test_a_kill_in_the_middle_of_a_migration_leaves_it_repeatable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = counted(tmp_path / "faq.db", 3)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=dict(os.environ), check=False)
    assert ended.returncode == -signal.SIGKILL
    assert "next" not in tables(path) and names(path) == [migration.name for migration in all_migrations()]
    with_further(monkeypatch, NEXT)
    Store(path).close()
    assert "next" in tables(path) and names(path)[-1] == NEXT.name
