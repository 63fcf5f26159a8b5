"""Tokens: each way to change a table gives this table, and only this table, a new token."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from faq_tui.core.store import Store, candidates, changes
from tests.support.store_bench import candidate, opened

WAYS = {
    "insert": "INSERT INTO {0} SELECT * FROM kept",
    "insert or replace": "INSERT OR REPLACE INTO {0} SELECT * FROM kept",
    "update": "UPDATE {0} SET rowid = rowid + 1000",
    "delete": "DELETE FROM {0}",
}


def all_tokens(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as db:
        found = changes.tokens(db, changes.TABLES)
    assert found is not None
    return dict(zip(changes.TABLES, found, strict=True))


@pytest.mark.parametrize("table", changes.TABLES)
@pytest.mark.parametrize("way", WAYS)
def test_another_program_that_changes_a_table_changes_its_token(tmp_path: Path, table: str, way: str) -> None:
    path = filled(tmp_path / "faq.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"CREATE TABLE kept AS SELECT * FROM {table}")
        if way == "insert":
            db.execute(f"DELETE FROM {table}")
        before = all_tokens(path)
        db.execute(WAYS[way].format(table))
        after = all_tokens(path)
    assert [name for name in before if before[name] != after[name]] == [table]


def filled(path: Path) -> Path:
    store = opened(path, 2)
    chosen = candidates.add(store, candidate(1))
    with store.writing() as db:
        db.execute(
            "INSERT INTO scores (candidate_id, judge, kind, score, reason, raw, created)"
            " VALUES (?, 'j', 'k', 1, '', '', 0)",
            (chosen,),
        )
        db.execute(
            "INSERT INTO picks (seed_id, source, action, candidate_id, picked_by, who, reason, created)"
            " SELECT seed_id, source, 'pick', id, 'judge', 'j', '', 0 FROM candidates"
        )
    store.close()
    return path


def test_a_restored_copy_has_the_old_token_and_then_others(tmp_path: Path) -> None:
    path = filled(tmp_path / "faq.db")
    copy = shutil.copyfile(path, tmp_path / "copy.db")
    first = all_tokens(path)
    for place in (path, copy):
        with closing(sqlite3.connect(place, isolation_level=None)) as db:
            db.execute("UPDATE seeds SET excluded = 1")
    assert len({first["seeds"], all_tokens(path)["seeds"], all_tokens(copy)["seeds"]}) == 3


def test_a_rolled_back_change_keeps_the_token(tmp_path: Path) -> None:
    path = filled(tmp_path / "faq.db")
    before = all_tokens(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("DELETE FROM picks")
        db.execute("ROLLBACK")
    assert all_tokens(path) == before


def test_a_lost_trigger_is_made_again_with_new_tokens(tmp_path: Path) -> None:
    path = filled(tmp_path / "faq.db")
    before = all_tokens(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER changes_seeds_UPDATE")
        db.execute("UPDATE seeds SET excluded = 1")
        assert changes.tokens(db, changes.TABLES) is None
    Store(path).close()
    after = all_tokens(path)
    assert all(before[name] != after[name] for name in changes.TABLES)
