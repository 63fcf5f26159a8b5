"""Open the run's SQLite file: connections, transactions and lock timeouts."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.file_systems import is_shared
from faq_tui.core.base.files import full_disk
from faq_tui.core.store import migrate

MEMORY = ":memory:"  # SQLite's name for a database in memory


class Store:
    """A connection to one run's database. Every write is committed before its function returns."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Open or create the file and update its schema.

        If `read_only` is true, the file is not changed. If the file has an old schema, a copy in memory gets the new
        schema and is read. Raises UsageError if the file is not a database or has a newer schema. Raises FaqError if
        the file is locked or the disk is full.
        """
        self.path, self.read_only = path, read_only
        try:
            self.db = open_to_read(path) if read_only else sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self.db.row_factory = sqlite3.Row
            if read_only:
                migrate.bring_up_to_date(self.db, path)
                self.db.execute("PRAGMA query_only = ON")
                return
            # Write-ahead logging needs memory that all processes share, so it cannot work across machines.
            shared = str(path) != MEMORY and is_shared(path.parent)
            self._use_journal("DELETE" if shared else "WAL")
            self.db.execute(f"PRAGMA synchronous = {'FULL' if shared else 'NORMAL'}")
            self.db.execute("PRAGMA foreign_keys = ON")
            migrate.bring_up_to_date(self.db, path)
        except sqlite3.DatabaseError as error:
            if _is_full(error):
                raise full_disk(path) from None
            if "locked" in str(error):
                raise FaqError(f"{path} is locked by another process: end that process, or try again later") from None
            raise UsageError(
                f"{path} is not a database that faq-tui can open ({error}): move the file away"
            ) from None

    def _use_journal(self, mode: str) -> None:
        """Switch to write-ahead logging, or to the rollback journal ("DELETE").

        If another process opens the file at the same moment, SQLite fails without waiting, so this function tries
        several times.
        """
        for wait_s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0):
            try:
                self.db.execute(f"PRAGMA journal_mode = {mode}")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(wait_s)
        self.db.execute(f"PRAGMA journal_mode = {mode}")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end of the block.

        Raises FaqError if the disk is full, or if another program has removed the file.
        """
        if self.read_only:
            raise FaqError(f"{self.path} is open only for reading: leave the replay to make changes")
        # SQLite would write to a removed file without an error, and the change would be lost.
        if str(self.path) != MEMORY and not self.path.exists():
            raise FaqError(f"{self.path} was removed: nothing was stored; leave faq-tui, and put the folder back")
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # a full disk may already have ended the transaction
                    self.db.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            if _is_full(error):
                raise full_disk(self.path) from None
            raise

    def close(self) -> None:
        self.db.close()


def _is_full(error: sqlite3.Error) -> bool:
    return "full" in str(error) or "disk I/O" in str(error)


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection for reading.

    If the file has an old schema, a copy in memory gets the new schema, and the connection reads this copy.
    """
    db = connect_to_read(path)
    if migrate.is_current(db):
        return db
    copy = sqlite3.connect(":memory:", isolation_level=None)
    db.backup(copy)
    db.close()
    return copy


def connect_to_read(path: Path, timeout_s: float = 30.0) -> sqlite3.Connection:
    """A connection for reading a file of any schema. Raises sqlite3.Error if the file cannot be read."""
    # SQLite cannot create a write-ahead log in a read-only folder. A file in a read-only folder cannot change, so it
    # is opened as immutable.
    for how in ("mode=ro", "mode=ro&immutable=1"):
        uri = f"file:{quote(os.fsencode(path))}?{how}"
        db = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return db
        except sqlite3.OperationalError:
            db.close()
    raise sqlite3.OperationalError(f"unable to read {path.name}")


SHORT_TIMEOUT_MS = 300


@contextmanager
def short_lock_timeout(store: Store) -> Iterator[None]:
    """Inside this block, wait only briefly for a lock of the database, so that the screen does not freeze.

    Raises FaqError if the database stays locked.
    """
    before = store.db.execute("PRAGMA busy_timeout").fetchone()[0]
    store.db.execute(f"PRAGMA busy_timeout = {SHORT_TIMEOUT_MS}")
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) and "busy" not in str(error):
            raise
        raise FaqError("the running job is writing to the database: nothing was changed, try again") from None
    finally:
        store.db.execute(f"PRAGMA busy_timeout = {int(before)}")
