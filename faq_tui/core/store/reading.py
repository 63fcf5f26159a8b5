"""Opening a database that must not be changed."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote


def open_to_read(path: Path) -> sqlite3.Connection:
    """The file itself, or a copy in memory if its schema must be brought up to date first."""
    db = _connect(path)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version >= known_version():
        return db
    copy = sqlite3.connect(":memory:", isolation_level=None)
    db.backup(copy)
    db.close()
    return copy


def known_version() -> int:
    return len(list((files("faq_tui.core.store") / "migrations").iterdir()))


def _connect(path: Path) -> sqlite3.Connection:
    # In a folder that cannot be written the file of the write-ahead log cannot be made: then nobody writes, either.
    for how in ("mode=ro", "mode=ro&immutable=1"):
        db = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=30.0, isolation_level=None)
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return db
        except sqlite3.OperationalError:
            db.close()
    raise sqlite3.OperationalError(f"unable to read {path.name}")
