"""Open the run's SQLite file: connections, transactions and lock timeouts."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import quote

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.file_systems import is_shared
from faq_tui.core.base.files import PRIVATE_FILE, full_disk
from faq_tui.core.store import changes, migrate

T = TypeVar("T")
LOCK_WAIT_S = 30.0  # longest wait for a lock of the database
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
        self._known: dict[object, tuple[object, Any]] = {}
        try:
            self.db = open_to_read(path) if read_only else _open_to_write(path)
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
            changes.watch(self.db)
        except sqlite3.DatabaseError as error:
            if _is_full(error):
                raise full_disk(path) from None
            if "locked" in str(error):
                raise FaqError(
                    f"{path} is locked by another process: end that process, or try again later. If there is none, "
                    "the file system has no file locks: move the run to a local disk"
                ) from None
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise FaqError(
                    f"{path} cannot be written ({error}): check the permissions of its folder, and whether the disk "
                    "is read-only"
                ) from None
            advice = (
                "restore a copy of the file, or move it away" if code == sqlite3.SQLITE_CORRUPT else "move it away"
            )
            raise UsageError(f"{path} is not a database that faq-tui can open ({error}): {advice}") from None

    def _use_journal(self, mode: str) -> None:
        """Switch to write-ahead logging, or to the rollback journal ("DELETE").

        If another process opens the file at the same moment, SQLite fails without waiting, so this function tries
        several times.
        """
        until = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                self.db.execute(f"PRAGMA journal_mode = {mode}")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.05)

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

    def known(self, key: object, read: Callable[[], T]) -> T:
        """The result of `read`. It is kept under `key` until this or another process changes the database."""
        version = self.db.execute("PRAGMA data_version").fetchone()[0]  # changes when another connection commits
        state = version, self.db.total_changes
        found = self._known.get(key)
        if found is None or found[0] != state:
            found = self._known[key] = state, read()
        value: T = found[1]
        return value

    def close(self) -> None:
        self._known.clear()
        self.db.close()


def _open_to_write(path: Path) -> sqlite3.Connection:
    """A connection for reading and writing. A new file can be read only by its owner.

    SQLite gives the files beside the database the same permissions.
    """
    if str(path) != MEMORY:
        with suppress(OSError):  # SQLite reports the error, because it cannot open the file either
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
    return sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)


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


def connect_to_read(path: Path, timeout_s: float = LOCK_WAIT_S) -> sqlite3.Connection:
    """A connection for reading a file of any schema. Raises sqlite3.Error if the file cannot be read."""
    # SQLite cannot read a write-ahead log if the folder is read-only or the disk is full, because it must then create
    # a file beside the log. In this case, the rows in the log are read from a copy. Without a log, the file cannot
    # change, so it is opened as immutable.
    for attempt in (_shared, _copied, _immutable):
        with suppress(sqlite3.OperationalError, OSError):
            return attempt(path, timeout_s)
    raise sqlite3.OperationalError(f"unable to read {path.name}")


def _shared(path: Path, timeout_s: float) -> sqlite3.Connection:
    return _connected(path, "mode=ro", timeout_s)


def _copied(path: Path, timeout_s: float) -> sqlite3.Connection:
    """A copy in memory of the file and its write-ahead log. Raises OSError if there is no log."""
    log = path.with_name(f"{path.name}-wal")
    if log.stat().st_size == 0:
        raise FileNotFoundError(log)
    with TemporaryDirectory(prefix="faq-tui-") as scratch:
        for one in (path, log):
            shutil.copyfile(one, Path(scratch) / one.name)
        with closing(_connected(Path(scratch) / path.name, "mode=rw", timeout_s)) as db:
            copy = sqlite3.connect(MEMORY, isolation_level=None)
            db.backup(copy)
    return copy


def _immutable(path: Path, timeout_s: float) -> sqlite3.Connection:
    return _connected(path, "mode=ro&immutable=1", timeout_s)


def _connected(path: Path, how: str, timeout_s: float) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path))}?{how}"
    db = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db


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
