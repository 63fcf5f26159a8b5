"""Locks of units: several processes may work on one run, but each on another unit.

A process that works on a unit holds two locks of the operating system:

- `RUN/.lock`, which it shares with the other processes that work on units. A job of the whole run takes this lock for
  itself, so a job and a unit never run at the same time.
- `RUN/.units/<unit>.unit`, which it holds alone.

The operating system releases the locks when the process ends, even after a crash. On a folder that several machines
share, this needs a file system with working locks, such as NFS 4.
"""

from __future__ import annotations

import fcntl
import os
import random
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import PRIVATE_FILE, private_folder

FOLDER = ".units"
WHOLE_RUN = ".lock"
SUFFIX = ".unit"
NAMED = 3  # an error message names at most this many units
TESTED_S = 1.0  # another process holds a lock for much less than this time if it only tests whether the lock is free
WAIT_S = 0.5  # seconds between two attempts to get a lock that another process holds


@dataclass(frozen=True)
class Holder:
    """The process that works on a unit. `pid` is 0 if the process has not written its id yet."""

    unit: str
    host: str = ""
    pid: int = 0

    def in_words(self) -> str:
        if not self.pid:
            return f"{self.unit} (by another process)"
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"{self.unit} (by process {self.pid}{where})"


@contextmanager
def working_on(folder: Path, unit: str, busy: Callable[[], FaqError]) -> Iterator[None]:
    """Hold the locks of a unit.

    Raises FaqError if another process works on the unit, and the error `busy()` if a job works on the run.
    """
    shared, own = _open(folder / WHOLE_RUN), -1
    try:
        if not _take(shared, fcntl.LOCK_SH):
            raise busy()
        own = _open(_path(folder, unit))
        if not _take(own, fcntl.LOCK_EX):
            holder = _holder(_path(folder, unit)) or Holder(unit)
            raise FaqError(f"another process is working on {holder.in_words()}: choose another unit, or wait")
        _write(own)
        yield
    finally:
        for fd in (own, shared):
            if fd >= 0:
                os.close(fd)


@contextmanager
def taking_turns(folder: Path, what: str, cancel: CancelToken) -> Iterator[None]:
    """Hold the lock named `what`. Wait while another process holds it. Raises Stopped after a cancel."""
    fd = _open(folder / FOLDER / f"{quote(what, safe='')}.turn")
    try:
        while not _take(fd, fcntl.LOCK_EX, 0.0):
            cancel.check()
            time.sleep(WAIT_S)
        yield
    finally:
        os.close(fd)


def holders(folder: Path) -> dict[str, Holder]:
    """Maps each unit that a process is working on to this process."""
    found = (_holder(path) for path in sorted((folder / FOLDER).glob(f"*{SUFFIX}")))
    return {holder.unit: holder for holder in found if holder is not None}


def units_in_use(folder: Path, found: Mapping[str, Holder]) -> FaqError:
    """The error that a job gets while other processes work on units of the run."""
    words = [holder.in_words() for holder in found.values()]
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return FaqError(
        f"other processes are working on units of {folder}: {', '.join(words[:NAMED])}{more}: "
        "wait until they end, or stop them"
    )


def _path(folder: Path, unit: str) -> Path:
    return folder / FOLDER / f"{quote(unit, safe='')}{SUFFIX}"


def _holder(path: Path) -> Holder | None:
    """The process that holds the lock of a unit; None if the lock is free."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _take(fd, fcntl.LOCK_SH, 0.0):
            return None
        found = re.fullmatch(r"(\d+) (\S+)", os.pread(fd, 512, 0).decode(errors="replace"))
        unit = unquote(path.name.removesuffix(SUFFIX))
        return Holder(unit, found[2], int(found[1])) if found else Holder(unit)
    finally:
        os.close(fd)


def _write(fd: int) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()} {socket.gethostname()}".encode(), 0)


def _open(path: Path) -> int:
    private_folder(path.parent)
    return os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)


def _take(fd: int, kind: int, patience_s: float = TESTED_S) -> bool:
    """Take the lock. Other processes test the lock for moments, so several attempts are made."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(random.uniform(0.005, 0.02))
        else:
            return True
