"""Opens the run's SQLite file: connections, transactions, and how long to wait for a lock."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.files import full_disk
from faq_tui.core.store import migrate


class Store:
    """A connection to one run's database. Every write is committed before the call that makes it returns."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Open the file, or make a new one, and bring its schema up to date.

        With `read_only` the file stays as it is: if its schema is older, a copy in memory is brought up to date.
        Raises UsageError if the file is no database, or a newer one; FaqError if it is locked or the disk is full.
        """
        self.path, self.read_only = path, read_only
        try:
            self.db = open_to_read(path) if read_only else sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self.db.row_factory = sqlite3.Row
            if read_only:
                migrate.bring_up_to_date(self.db, path)
                self.db.execute("PRAGMA query_only = ON")
                return
            self._use_wal()
            self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.execute("PRAGMA foreign_keys = ON")
            migrate.bring_up_to_date(self.db, path)
        except sqlite3.DatabaseError as error:
            if _is_full(error):
                raise full_disk(path) from None
            if "locked" in str(error):
                raise FaqError(f"{path} is held by another process: end it, or try again later") from None
            raise UsageError(f"{path} cannot be opened as faq-tui's database ({error}): move it away") from None

    def _use_wal(self) -> None:
        """Switch to write-ahead logging. SQLite fails at once while another process opens the file, so this waits."""
        for wait_s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0):
            try:
                self.db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(wait_s)
        self.db.execute("PRAGMA journal_mode = WAL")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, committed at the end of the block. A full disk is a FaqError."""
        if self.read_only:
            raise FaqError(f"{self.path} is opened for reading only: nothing is changed in a replay")
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # a full disk has ended it already
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
    """A connection that reads the file, or a copy of it in memory if its schema must be brought up to date first."""
    db = _connect(path)
    if migrate.is_current(db):
        return db
    copy = sqlite3.connect(":memory:", isolation_level=None)
    db.backup(copy)
    db.close()
    return copy


def _connect(path: Path) -> sqlite3.Connection:
    # The write-ahead log cannot be made in a folder that is read-only. Nobody writes there, so the file is immutable.
    for how in ("mode=ro", "mode=ro&immutable=1"):
        db = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=30.0, isolation_level=None)
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return db
        except sqlite3.OperationalError:
            db.close()
    raise sqlite3.OperationalError(f"unable to read {path.name}")


SHORT_TIMEOUT_MS = 300


@contextmanager
def short_lock_timeout(store: Store) -> Iterator[None]:
    """Wait for a lock only briefly in this block, as the app must. Raises FaqError if the database stays locked."""
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
