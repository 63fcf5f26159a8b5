"""A run is a folder with the settings, database and artefacts of one target model.

Only one process at a time may write to a run, or several processes that work on different units (`unit_locks.py`).
"""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError, system_reason
from faq_tui.core.base.files import PRIVATE_FILE, check_no_folder
from faq_tui.core.base.process import process_identity
from faq_tui.core.base.shell import command_line
from faq_tui.core.run.contents import check_contents
from faq_tui.core.run.unit_locks import holders, units_in_use
from faq_tui.core.settings import Settings, load_settings
from faq_tui.core.store import Store
from faq_tui.core.store.database import MEMORY

DATABASE = "faq.db"


@dataclass(frozen=True)
class Run:
    """A run's folder, its settings and its open database."""

    folder: Path
    settings: Settings
    store: Store

    @property
    def calibration(self) -> Path:
        return self.folder / "calibration"

    @property
    def token_kinds(self) -> Path:
        """Folder of the token kinds of the calibration sets, one file per set."""
        return self.folder / "token_kinds"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs"

    @property
    def cache(self) -> Path:
        """The cache folder. A person may delete the cache folder, because its files can be computed again."""
        return self.folder / ".cache"

    def log(self, job: str) -> Path:
        return self.jobs / job / "log.txt"

    def resolve(self, path: str) -> Path:
        """The full path for a path in `faq.toml`. A relative path in `faq.toml` begins in the run's folder. Links are
        resolved.

        Raises UsageError if the text cannot be a path. An example is `~nobody/model` on a machine without the user
        `nobody`.
        """
        return self._checked(path, lambda: (self.folder / Path(path).expanduser()).resolve())

    def absolute(self, path: str) -> Path:
        """The same as `resolve`, but symbolic links are not replaced by their targets."""
        return self._checked(path, lambda: self.folder / Path(path).expanduser())

    def _checked(self, path: str, make: Callable[[], Path]) -> Path:
        try:
            full = make()
            full.exists()  # raises OSError, for example if a name is too long
        except (OSError, RuntimeError, ValueError) as error:
            key = next(_keys_of(self.settings.model_dump(), path), "a path")
            reason = system_reason(error)
            raise UsageError(f"{key} in faq.toml cannot be used: {path!r} ({reason}): correct the path") from None
        return full


def _keys_of(values: Any, text: str, key: str = "") -> Iterator[str]:
    """Yield the dotted key of each setting that has the value `text`."""
    if values == text:
        yield key
    elif isinstance(values, dict):
        for name, inner in values.items():
            yield from _keys_of(inner, text, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list | tuple):
        for inner in values:
            yield from _keys_of(inner, text, key)


def run_folder(folder: Path) -> Path:
    """The folder as an absolute path. Raises UsageError if there is no such folder."""
    if not folder.is_dir():
        command = command_line("init", folder, "--target", "M", "--seeds", "FILE")
        raise UsageError(f"no run folder at {folder}: create one with `{command}`")
    return folder.resolve()


@contextmanager
def open_run(folder: Path, read_only: bool = False) -> Iterator[Run]:
    """The run in `folder`. Raises UsageError if the folder holds no run.

    Raises FaqError if the block finds that the database is damaged or cannot be written.
    """
    with _opened(folder, lambda path: Store(path, read_only)) as run:
        yield run


@contextmanager
def open_to_look(folder: Path) -> Iterator[Run]:
    """The same as `open_run`, for a command that only shows what is stored.

    It works on a full disk and in a read-only folder. If there is no database yet, an empty one in memory is used.
    """
    with _opened(folder, lambda path: Store(path, read_only=True) if path.exists() else Store(Path(MEMORY))) as run:
        yield run


@contextmanager
def _opened(folder: Path, open_store: Callable[[Path], Store]) -> Iterator[Run]:
    folder = run_folder(folder)
    check_contents(folder)
    settings = load_settings(folder / "faq.toml")
    store = open_store(folder / DATABASE)
    try:
        yield Run(folder, settings, store)
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:  # a damaged page is found only when it is read
        raise FaqError(
            f"{store.path} cannot be used ({error}): if the file is damaged, move it away or restore a copy"
        ) from error
    finally:
        store.close()


@dataclass(frozen=True)
class Owner:
    """The process that holds a run's lock, as recorded in the lock file. The pid is 0 if it is not recorded yet."""

    pid: int
    job: str


@contextmanager
def locked(run: Run, job: str = "") -> Iterator[None]:
    """Hold the run's lock for writing. The operating system releases the lock when the process ends, even after a
    crash.
    """
    with locked_folder(run.folder, job):
        yield


@contextmanager
def locked_folder(folder: Path, job: str = "") -> Iterator[None]:
    """The same as `locked`, for a run that is not open.

    Raises FaqError if another process holds the lock, or works on a unit of the run.
    """
    check_no_folder(folder / ".lock")
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        while not _try(fd, fcntl.LOCK_EX):
            owner = lock_owner(folder)
            if owner is not None:
                raise in_use(folder, owner)
            units = holders(folder)
            if units:
                raise units_in_use(folder, units)
            # another process has just released the lock, or is testing whether the lock is free
            time.sleep(random.uniform(0.001, 0.01))
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} {job}".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def lock_owner(folder: Path) -> Owner | None:
    """The process that holds the lock of the run in `folder`; None if the lock is free."""
    try:
        fd = os.open(folder / ".lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        deadline = time.monotonic() + 1.0
        while not _try(fd, fcntl.LOCK_SH):
            owner = _written(fd)
            if _lives(owner.pid) or time.monotonic() > deadline:
                return owner
            # Either the last holder of the lock has not ended yet, or the next holder has not written its pid yet.
            time.sleep(0.005)
        return None
    finally:
        os.close(fd)


def in_use(folder: Path, owner: Owner) -> FaqError:
    """The error that a second process gets when it tries to work on the run."""
    return FaqError(
        f"another faq-tui (process {owner.pid or 'unknown'}) is working on {folder}: "
        f"wait until it ends, or stop it (Ctrl-C there, or `kill {owner.pid or 'PID'}`; finished work is kept)"
    )


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written(fd: int) -> Owner:
    pid, _, job = os.pread(fd, 256, 0).decode(errors="replace").partition(" ")
    return Owner(int(pid) if pid.isdecimal() else 0, job)


def _lives(pid: int) -> bool:
    return pid > 0 and process_identity(pid) is not None
