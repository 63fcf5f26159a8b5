"""Know whether another program has changed a run, without reading its data."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable
from pathlib import Path


def version_of(db: sqlite3.Connection, *paths: Path) -> Hashable:
    """A value that changes when another connection changes the database, or when one of these paths is changed.

    A folder is changed when an entry is added or removed. Compare only values of the same connection, because SQLite
    counts the changes that this connection has seen.
    """
    return db.execute("PRAGMA data_version").fetchone()[0], *map(_changed, paths)


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
