"""Write files atomically. Neither a crash nor a full disk leaves an incomplete file."""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.process import process_identity

# These error numbers mean: no space is left, the disk quota is exceeded, or the file is too large.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600  # permissions: only the owner
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
# In these folders, Linux lists the open files of a process.
DESCRIPTORS = re.compile(r"/dev/fd|/proc/[^/]+(/task/[^/]+)?/fd")
MOST_LINKS = 40  # a path that leads through more than 40 symbolic links is an error, as in Linux


def full_disk(where: Path) -> FaqError:
    """Make the error for a full disk. `where` is the file that could not be written."""
    return FaqError(
        f"no space left while writing {where}: free some disk space and run the same command again; "
        "finished work is kept"
    )


@contextmanager
def full_disk_is_clear(where: Path) -> Iterator[None]:
    """If the disk becomes full inside the block, raise the error of `full_disk` instead of an OSError."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise full_disk(where) from None


def private_folder(path: Path) -> Path:
    """Create the folder and its missing parents so that only their owner can read them, whatever the umask is.

    An existing folder keeps its permissions.
    """
    for folder in reversed((path, *path.parents)):
        if not folder.exists():
            folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
    return path


def private(path: str, flags: int) -> int:
    """The `opener` of a file that only its owner can read. An existing file keeps its permissions."""
    return os.open(path, flags, PRIVATE_FILE)


def check_no_folder(path: Path) -> None:
    """Raise FaqError if there is a folder at the path of a file that faq-tui writes."""
    if path.is_dir():
        raise FaqError(f"{path} is a folder, but faq-tui needs a file with this name: rename or remove the folder")


@contextmanager
def atomic_text(path: Path) -> Iterator[IO[str]]:
    """Open a temporary UTF-8 file for writing. Only its owner can read it.

    When the block ends, the file is moved to `path`. If the block fails, the file is deleted. If a file exists at
    `path`, the new file gets its permissions. Raises FaqError if there is a folder at `path`.
    """
    check_no_folder(path)
    # processes of other machines may have the same pid
    half = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.half")
    with full_disk_is_clear(path):
        private_folder(path.parent)
        for abandoned in path.parent.glob(f".{glob.escape(path.name)}.*.half"):
            if not _is_in_use(abandoned):
                abandoned.unlink(missing_ok=True)
        try:
            with open(half, "w", encoding="utf-8", errors="replace", opener=private) as file:
                if path.exists():
                    shutil.copymode(path, half)
                yield file
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def _is_in_use(half: Path) -> bool:
    """False if the process that writes the temporary file has been killed. The name of the file has its pid."""
    pid = half.name.split(".")[-2]
    return pid.isdecimal() and process_identity(int(pid)) is not None


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that replaces the file at `path` when the block ends. If the block fails, the old file stays.

    The new file has the permissions of the old one. If `path` is a link, the link stays, and its target is replaced.
    A device, a pipe or an open file (such as /dev/stdout) cannot be replaced, so it is written directly. Raises
    FaqError if the disk is full or the folder is read-only, and OSError after other failures.
    """
    final = _replaceable(path)
    with full_disk_is_clear(path):
        if final is None:
            with path.open("ab") as file:  # after `>> FILE` in a shell, the old content of FILE must stay
                yield file
            return
        if final.exists() and not os.access(final, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        half = final.with_name(f".faq-tui.{os.getpid()}.{secrets.token_hex(4)}.half")
        try:
            with half.open("xb") as file:
                if final.exists():
                    shutil.copymode(final, half)
                yield file
                file.flush()
                os.fsync(file.fileno())
            half.replace(final)
        except OSError as error:
            if error.filename != str(half):
                raise
            if error.errno in READ_ONLY:
                raise FaqError(
                    f"{path} cannot be written, because its folder {final.parent} is read-only: choose another folder"
                ) from None
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            half.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """True if the path leads to a device, a pipe or an open file, such as /dev/stdout. Raises OSError."""
    return _replaceable(path) is None


def _replaceable(path: Path) -> Path | None:
    """The regular file that `path` leads to, which need not exist yet.

    Returns None for a device or a pipe.
    """
    at = path.absolute()
    for _ in range(MOST_LINKS):
        folder = os.path.realpath(at.parent)
        if DESCRIPTORS.fullmatch(folder):
            return None
        at = Path(folder) / at.name
        if not at.is_symlink():
            return at if not at.exists() or stat.S_ISREG(at.stat().st_mode) else None
        at = Path(folder) / at.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def replace_folder(new: Path, folder: Path) -> None:
    """Move the finished folder `new` to the path `folder`. If a folder exists at this path, it is replaced."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises OSError, or ValueError if the file is not JSON or is nested too deeply."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
