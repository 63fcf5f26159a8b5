"""Find the seed files that `seeds.path` names: the files of a folder, or the files that match a pattern."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds.formats.hub_dataset import SAVED
from faq_tui.core.seeds.formats.opening import plain_suffix

MOST_FILES = 100_000
MAGIC = re.compile(r"[*?[]")
# names of files without rows in folders from the hub and in folders written by `save_to_disk` of `datasets`
NO_ROWS = (*SAVED, "dataset_infos.json", "dataset_info.json", "config.json")
SPLIT_NAMES = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}
SPLIT = re.compile(r"(train|test|validation|valid|val|dev|eval)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class SeedFile:
    """A seed file. Every seed from this file has `name` in its origin."""

    path: Path
    name: str


def is_pattern(path: Path, name: str) -> bool:
    """True if `name` (the value of `seeds.path`) is a pattern such as `shards/*.jsonl`, and no file has this name."""
    return MAGIC.search(name) is not None and not path.exists()


def files_of_pattern(path: Path, name: str) -> list[SeedFile]:
    """The files that the pattern matches, in alphabetical order. Raises UsageError if no file matches."""
    files = _matching(path, name)
    if not files:
        raise UsageError(f"no seed file matches {name}: check seeds.path")
    return _not_too_many(files, name)


def _matching(path: Path, name: str) -> list[SeedFile]:
    count = next(n for n, part in enumerate(Path(name).parts) if MAGIC.search(part))
    # number of parts in the pattern, counted from the first part with a wildcard
    wild = len(Path(name).parts) - count
    base, pattern = Path(*path.parts[:-wild]), str(Path(*path.parts[-wild:]))
    start = Path(*Path(name).parts[:count])
    found = sorted(one for one in base.glob(pattern) if one.is_file())
    return [SeedFile(one, str(start / one.relative_to(base))) for one in found]


def files_of_folder(path: Path, name: str, split: str, known: Callable[[str], bool]) -> list[SeedFile]:
    """The seed files of a folder and of its subfolders, in alphabetical order. Hidden files are left out.

    `known` returns True for the suffixes of seed files. Text files are left out if the folder also has seed files of
    another kind. If names of files begin with a split's name (such as `train`), only the files of `split` are used.
    Raises UsageError if no file is left.
    """
    found = [one for one in _walk(path) if known(plain_suffix(one)) and one.name not in NO_ROWS]
    tables = [one for one in found if plain_suffix(one) != ".txt"]
    splits = {one: split_of(one) for one in tables or found}
    if len({part for part in splits.values() if part}) > 1:
        wanted = SPLIT_NAMES.get(split, split)
        splits = {one: part for one, part in splits.items() if part == wanted}
        if not splits:
            raise UsageError(f"the folder {name} has no file of the split {split!r}: set seeds.split")
    files = [SeedFile(one, str(Path(name) / one.relative_to(path))) for one in splits]
    return _not_too_many(files, name)


def split_of(path: Path) -> str:
    """The name of a split at the start of the file's name; "" if there is none.

    For `train-00000-of-00002.parquet`, the result is `train`.
    """
    match = SPLIT.match(path.name)
    found = match[1].lower() if match else ""
    return SPLIT_NAMES.get(found, found)


def state_of(path: Path, name: str) -> object:
    """The size and the modification time of each seed file. `name` is the value of `seeds.path`.

    The result is None if there is no seed file, for example if `name` is the id of a data set.
    """
    if path.is_file():
        return [path.stat().st_size, path.stat().st_mtime_ns]
    states = ((file, file.stat()) for file in named_files(path, name))
    return [[str(file), state.st_size, state.st_mtime_ns] for file, state in states] or None


def named_files(path: Path, name: str) -> list[Path]:
    """The files that `name` (the value of `seeds.path`) stands for, in alphabetical order.

    The list is empty if there is no such file, for example if `name` is the id of a data set.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        return _walk(path)[:MOST_FILES]
    return [one.path for one in _matching(path, name)][:MOST_FILES] if is_pattern(path, name) else []


def _walk(folder: Path) -> list[Path]:
    found = list[Path]()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        found += [Path(parent) / name for name in names if not name.startswith(".")]
        if len(found) > MOST_FILES:
            break
    return sorted(one for one in found if one.is_file())


def _not_too_many(files: list[SeedFile], name: str) -> list[SeedFile]:
    if len(files) > MOST_FILES:
        raise UsageError(f"seeds.path {name} names more than {MOST_FILES:,} files: give fewer files")
    return files
