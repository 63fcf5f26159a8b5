"""Find runs in a folder and up to two levels below it, and runs that the user opened before."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from platformdirs import user_state_path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import atomic_text

DEPTH = 2  # the search for runs ends this many levels below the folder
MOST_REMEMBERED = 500
MOST_FOLDERS = 20_000  # the search ends after this many folders, for example if it began in a home folder
MOST_BYTES = 4 << 20  # a longer list of opened runs is not read, because faq-tui did not write it


def state_file() -> Path:
    """The file with the folders of the runs that the user opened, the latest first."""
    return user_state_path("faq-tui") / "runs.json"


def is_run(folder: Path) -> bool:
    """True if the folder holds the settings of a run. False if the folder cannot be read."""
    try:
        return (folder / "faq.toml").is_file()
    except OSError:
        return False


def opened_before() -> list[Path]:
    """The folders in the state file; some may have been deleted. [] if the file is missing or damaged."""
    path = state_file()
    try:
        if path.stat().st_size > MOST_BYTES:
            return []
        names = json.loads(path.read_text(encoding="utf-8"))["runs"]
        return [Path(name) for name in names if isinstance(name, str) and Path(name).is_absolute()][:MOST_REMEMBERED]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def remember(folder: Path) -> None:
    """Put the folder first in the state file. If the file cannot be written, the folder is not remembered."""
    with suppress(OSError, FaqError):  # a FaqError means that the disk is full
        folder = folder.resolve()
        _write([folder, *(one for one in opened_before() if one != folder)])


def forget(folder: Path) -> None:
    """Remove the folder from the state file, if the file can be written."""
    with suppress(OSError, FaqError):
        folder = folder.resolve()
        before = opened_before()
        if folder in before:
            _write([one for one in before if one != folder])


def _write(folders: list[Path]) -> None:
    names = [str(folder) for folder in folders[:MOST_REMEMBERED]]
    path = state_file()
    with atomic_text(path) as file:
        json.dump({"runs": [name for name in names if _is_text(name)]}, file)


def _is_text(name: str) -> bool:
    """False if the name has bytes that are not UTF-8.

    The state file cannot store a name that is not UTF-8 unchanged.
    """
    return not any("\ud800" <= character <= "\udfff" for character in name)


def find_runs(here: Path) -> Iterator[Path]:
    """The folders of all known runs, each once and with links resolved.

    The folder `here` and the runs below it come first. The runs that were opened before and still exist follow. The
    function does not search inside a run, in hidden folders, or in folders that cannot be read.
    """
    seen: set[Path] = set()
    for folder in chain(_below(here), filter(is_run, opened_before())):
        with suppress(OSError, RuntimeError):
            folder = folder.resolve()
            if folder not in seen:
                seen.add(folder)
                yield folder


def _below(here: Path) -> Iterator[Path]:
    level, left = [here], MOST_FOLDERS
    for depth in range(DEPTH + 1):
        deeper: list[Path] = []
        for folder in level:
            left -= 1
            if left < 0:
                return
            if is_run(folder):
                yield folder
                if depth:
                    continue
            if depth < DEPTH:
                deeper += _folders(folder)
        level = deeper


def _folders(folder: Path) -> list[Path]:
    """The folders in `folder` in alphabetical order, without hidden ones. [] if the folder cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry)]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
