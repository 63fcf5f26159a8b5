"""Find the cache folder, and write files into it atomically. A lock lets only one process at a time write there."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from faq_tui.core.base.errors import FaqError, system_reason

Say = Callable[[str], None]

SCRATCH_PREFIX = "unfinished-"


def cache_folder() -> Path:
    """The folder `embedded/` in the user's cache for faq-tui. `$FAQ_TUI_CACHE` can name another folder for the cache.

    This function does not create the folder.
    """
    override = os.environ.get("FAQ_TUI_CACHE")
    if override:
        return Path(override).expanduser().absolute() / "embedded"
    from platformdirs import user_cache_path

    return user_cache_path("faq-tui") / "embedded"


@contextmanager
def os_errors_in_words(folder: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a FaqError that says what to do."""
    try:
        yield
    except OSError as error:
        raise FaqError(in_words(error, folder)) from error


def in_words(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(folder)
    reason = system_reason(error)
    return f"the cache folder {folder} cannot be used ({reason}): set FAQ_TUI_CACHE to a writable folder"


def disk_full(folder: Path) -> str:
    return f"the disk is full at {folder}: free 600 MB, or set FAQ_TUI_CACHE to a folder on another disk"


@contextmanager
def locked(folder: Path, say: Say) -> Iterator[None]:
    """Hold the folder's lock. The operating system releases the lock when this process ends, even after a crash."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another faq-tui process is preparing the embedded model; faq-tui waits until this is done")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new empty folder in `folder`.

    The new folder and `folder` are on the same file system, so finished files can be moved to `folder` atomically.

    The function first removes the folders that killed processes left behind, so the caller must hold the lock.
    """
    for leftover in folder.glob(f"{SCRATCH_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=folder, ignore_cleanup_errors=True) as name:
        yield Path(name)


def flush(path: Path) -> None:
    """Flush the file to disk.

    Call this function before the file is renamed to its final name, so that every file with a final name is complete,
    even after a power cut.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())
