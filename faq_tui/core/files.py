"""Writing files so that a reader, a crash or a full disk never meets half of one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from faq_tui.core.errors import FaqError

# No space, over quota, over the limit on a file's size.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def full_disk(where: Path) -> FaqError:
    """The sentence a person reads when `where` could not be written."""
    return FaqError(
        f"no space left while writing {where}: free some disk space and run the same command again; "
        "what was finished is kept"
    )


@contextmanager
def full_disk_is_clear(where: Path) -> Iterator[None]:
    """Turn "no space left" into the sentence a person reads."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise full_disk(where) from None


@contextmanager
def atomic_text(path: Path) -> Iterator[IO[str]]:
    """A UTF-8 file that appears under `path` whole, or not at all."""
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    with full_disk_is_clear(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with half.open("w", encoding="utf-8", errors="replace") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def replace_folder(new: Path, place: Path) -> None:
    """Put the finished folder `new` at `place`, in place of an older one."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)
