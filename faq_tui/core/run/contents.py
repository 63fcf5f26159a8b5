"""Checks what lies in a run's folder before anything is read.

A run may come from another person. To read a pipe would block for ever, and to read a device would fill the memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from faq_tui.core.base.errors import UsageError

FOLDERS = ("activations", "calibration", "jobs", "models", "reports", "token_kinds")
DEPTH = 2  # levels of folders below a folder of FOLDERS, such as models/NAME/config.json


def check_contents(folder: Path) -> None:
    """Raise UsageError if the run in `folder` has a pipe, a device or a socket, or a file in place of a folder."""
    for entry in _entries(folder):
        if entry.name in FOLDERS:
            if not entry.is_dir():
                raise UsageError(f"{entry.path} is not a folder: move it away, and faq-tui makes the folder again")
            for inner in _all(Path(entry.path), DEPTH):
                _check(inner)
        else:
            _check(entry)


def _all(folder: Path, depth: int) -> Iterator[os.DirEntry[str]]:
    for entry in _entries(folder):
        yield entry
        if depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from _all(Path(entry.path), depth - 1)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:  # the folder cannot be read, or was deleted meanwhile; what needs it reports this
        return []


def _check(entry: os.DirEntry[str]) -> None:
    try:
        if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):
            return  # known without a call of the system
        mode = entry.stat().st_mode
    except OSError:  # a link that leads nowhere
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError(
            f"{entry.path} is a pipe, a device or a socket, but a run has only files and folders: move it away"
        )
