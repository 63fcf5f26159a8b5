"""Update the schema of a run's database. Each migration has a name and is applied to a database only once.

A migration is a file `migrations/NNNN_name.sql`. The numbers determine the order of the migrations. When a migration
is applied, its name is recorded in the table `migrations` of the database. Numbers may have gaps, and a lower number
may be added later. A released file must never be renamed or edited.

Versions of faq-tui up to 0ebf15d recorded no names, but only the number of applied files (`COUNTED`) in `PRAGMA
user_version`. faq-tui still writes this number, so that an old version can open a database if the old version knows
all applied migrations.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError

COUNTED = (
    *("0001_first", "0002_browse", "0003_regenerate", "0004_judge", "0005_activations", "0006_sets"),
    *("0007_quantize", "0009_evidence", "0010_benchmarks", "0011_token_kl", "0012_heldout_words"),
)
NAME = re.compile(r"\d{4}_[a-z0-9_]+")
TABLE = "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied REAL NOT NULL)"


@dataclass(frozen=True)
class Migration:
    """One change of the schema. `name` is the file name without suffix. `sql` contains the SQL statements."""

    name: str
    sql: str


@cache
def all_migrations() -> tuple[Migration, ...]:
    """All migrations of this faq-tui, in the order of their numbers."""
    return read_migrations(files("faq_tui.core.store") / "migrations")


def read_migrations(folder: Traversable) -> tuple[Migration, ...]:
    """The migrations in `folder` in the order of their numbers.

    Raises FaqError if a file name does not begin with four digits and `_`, or if two files have the same number.
    """
    migrations = sorted(
        (Migration(entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8")) for entry in folder.iterdir()),
        key=lambda migration: migration.name,
    )
    by_number: dict[str, str] = {}
    for migration in migrations:
        if not NAME.fullmatch(migration.name):
            raise FaqError(f"the migration {migration.name} must have a name like 0013_word: reinstall faq-tui")
        other = by_number.setdefault(migration.name[:4], migration.name)
        if other != migration.name:
            raise FaqError(f"the migrations {other} and {migration.name} have the same number: reinstall faq-tui")
    return tuple(migrations)


def applied_names(db: sqlite3.Connection) -> list[str]:
    """Names of the migrations that were applied to the database, in the order of their numbers."""
    version = _version(db)
    names = set(COUNTED[:version] if version <= len(COUNTED) else ())
    if _has_table(db):
        names.update(name for (name,) in db.execute("SELECT name FROM migrations"))
    return sorted(names)


def is_current(db: sqlite3.Connection) -> bool:
    """True if all migrations of this faq-tui were applied to the database."""
    return {migration.name for migration in all_migrations()} <= set(applied_names(db))


def bring_up_to_date(db: sqlite3.Connection, path: Path) -> None:
    """Apply all missing migrations, each in one transaction. Error messages name `path`.

    Each migration is applied completely or not at all, even if the process is killed. Raises UsageError if the
    database was written by a newer faq-tui, and sqlite3.DatabaseError if a migration fails.
    """
    _refuse_newer(db, path)
    applied = applied_names(db)
    pending = [migration for migration in all_migrations() if migration.name not in applied]
    if not pending:
        return  # nothing is written, because a process of an older faq-tui may be using the file
    _record_counted(db)
    for migration in pending:
        applied.append(migration.name)
        try:
            # The migration's name is inserted first. This insertion fails if another process has already applied the
            # migration.
            db.executescript(
                "BEGIN IMMEDIATE;\n"
                f"INSERT INTO migrations VALUES ('{migration.name}', {time.time()!r});\n"
                f"{migration.sql}\nPRAGMA user_version = {_count(applied)};\nCOMMIT;"
            )
        except sqlite3.DatabaseError:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if migration.name not in applied_names(db):
                raise


def _refuse_newer(db: sqlite3.Connection, path: Path) -> None:
    known = [migration.name for migration in all_migrations()]
    unknown = sorted(set(applied_names(db)) - set(known))
    counted, most = _version(db), len(known) if _has_table(db) else len(COUNTED)
    if unknown or counted > most:
        version = f"migration {unknown[-1]}" if unknown else f"schema {counted}"
        ours = known[-1] if unknown else most
        raise UsageError(
            f"{path} was written by a newer faq-tui ({version}, this one knows up to {ours}): upgrade faq-tui"
        )


def _record_counted(db: sqlite3.Connection) -> None:
    """Store the names of the applied migrations if an older faq-tui has stored only the number of migrations."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(TABLE)
        rows = [(name, time.time()) for name in applied_names(db)]
        db.executemany("INSERT OR IGNORE INTO migrations VALUES (?, ?)", rows)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _count(applied: Collection[str]) -> int:
    """The new `user_version`.

    The value is usually the number of applied migrations. Version 0ebf15d of faq-tui cannot use a database with a
    migration that is not in COUNTED, and refuses a database only if `user_version` is above `len(COUNTED)`. Therefore
    a migration that is not in COUNTED raises `user_version` above `len(COUNTED)`, even if fewer migrations were
    applied.
    """
    return len(applied) if set(applied) <= set(COUNTED) else max(len(applied), len(COUNTED) + 1)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _has_table(db: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'"
    return db.execute(query).fetchone() is not None
