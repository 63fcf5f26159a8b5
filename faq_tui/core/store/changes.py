"""Know whether a table has changed since a value was computed from it.

For each table in `TABLES`, the table `changes` holds a random token. Triggers replace the token with each insert,
update and delete, so no program that writes to the database can forget it. Two states of a table with the same token
have the same rows, even if one of them is a copy of the database or an earlier state that was restored.

The first process that opens the database for writing creates the table and the triggers. No migration does so: with a
new migration, earlier versions of faq-tui could not open the database. They keep the triggers working.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

TABLES = ("seeds", "candidates", "scores", "picks")
ACTIONS = ("INSERT", "UPDATE", "DELETE")
_TRIGGERS = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'changes^_%' ESCAPE '^'"


def watch(db: sqlite3.Connection) -> None:
    """Create the table and the triggers if they are missing."""
    if db.execute(_TRIGGERS).fetchone()[0] == len(TABLES) * len(ACTIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("CREATE TABLE IF NOT EXISTS changes (name TEXT PRIMARY KEY, token TEXT NOT NULL) WITHOUT ROWID")
        for table in TABLES:
            db.execute("INSERT OR REPLACE INTO changes VALUES (?, hex(randomblob(8)))", (table,))
            for action in ACTIONS:
                db.execute(
                    f"CREATE TRIGGER IF NOT EXISTS changes_{table}_{action} AFTER {action} ON {table} BEGIN"
                    f" UPDATE changes SET token = hex(randomblob(8)) WHERE name = '{table}'; END"
                )
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def tokens(db: sqlite3.Connection, tables: Sequence[str]) -> list[str] | None:
    """The token of each of these tables. None if this database has no tokens yet."""
    if db.execute(_TRIGGERS).fetchone()[0] != len(TABLES) * len(ACTIONS):
        return None
    known = dict(db.execute("SELECT name, token FROM changes").fetchall())
    return [known[table] for table in tables]
