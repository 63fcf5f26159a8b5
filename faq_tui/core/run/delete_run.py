"""Delete a run: the files that faq-tui wrote into its folder. All other files stay."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.run.run import in_use, lock_owner, locked_folder
from faq_tui.core.run.server_record import live_servers
from faq_tui.core.settings import load_settings

# The entries of a run's folder that faq-tui writes. The files that make the folder a run come last, so the run is
# still listed if the deletion fails halfway, and a person can try again.
OWN = (
    *("models", ".cache", "activations", "calibration", "token_kinds", "reports", "jobs", "batch", ".units"),
    *("faq.db-wal", "faq.db-shm", "faq.db", "faq.toml", ".lock"),
)
NEEDED = ("faq.toml", "faq.db")  # a folder with these two files is a run


@dataclass(frozen=True)
class Deletion:
    """What the deletion of a run removes and keeps."""

    folder: Path
    size: int  # bytes on the disk that become free
    kept: tuple[str, ...]  # names of the other files and folders in the run's folder; they stay


def plan_deletion(folder: Path) -> Deletion:
    """Say what `delete_run` would remove. Raises FaqError if the run must not be deleted."""
    folder = _checked(folder)
    return Deletion(folder, sum(disk_bytes(folder / name) for name in OWN), _others(folder))


def delete_run(folder: Path) -> None:
    """Delete the files that faq-tui wrote, and the folder if it is empty then.

    A symbolic link inside the folder is removed, but the files that it points to stay. Raises FaqError if a job is
    running, if the folder is no run, or if a file cannot be deleted.
    """
    folder = _checked(folder)
    try:
        with locked_folder(folder):
            for name in OWN:
                _remove(folder / name)
        if not _others(folder):
            folder.rmdir()
    except OSError as error:
        raise FaqError(
            f"{error.filename or folder} cannot be deleted ({error.strerror}), so a part of the run is still there: "
            "correct its permissions and delete the run again"
        ) from None


def disk_bytes(path: Path) -> int:
    """The bytes that a file or folder takes on the disk. Links are not followed. Unreadable folders count as 0."""
    try:
        info = path.lstat()
    except OSError:
        return 0
    total = info.st_blocks * 512
    if stat.S_ISDIR(info.st_mode):
        total += sum(_sizes(path))
    return total


def _sizes(folder: Path) -> Iterator[int]:
    waiting = [str(folder)]
    linked: set[tuple[int, int]] = set()  # files with several names (hard links), which are counted only once
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif info.st_nlink > 1:
                        if (info.st_dev, info.st_ino) in linked:
                            continue
                        linked.add((info.st_dev, info.st_ino))
                    yield info.st_blocks * 512
        except OSError:  # the folder is unreadable, or a job has just deleted it
            continue


def _checked(folder: Path) -> Path:
    try:
        folder = folder.resolve(strict=True)
        missing = [name for name in NEEDED if not (folder / name).is_file()]
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}") from None
    if missing:
        raise UsageError(f"{folder} holds no {missing[0]}, so faq-tui does not delete it: delete the folder yourself")
    owner = _owner(folder)
    if owner is not None:
        raise in_use(folder, owner)
    for server in live_servers(folder / "jobs"):
        raise FaqError(f"{server.name} of this run is being served (process {server.pid}): stop its server first")
    _refuse_inputs(folder)
    return folder


def _owner(folder: Path) -> Any:
    try:
        return lock_owner(folder)
    except OSError as error:
        raise UsageError(f"{folder / '.lock'} cannot be read: {error.strerror}") from None


def _refuse_inputs(folder: Path) -> None:
    """Raise UsageError if the settings read a file from a folder that would be deleted."""
    try:
        settings = load_settings(folder / "faq.toml")
    except UsageError:
        return  # a damaged run can be deleted, too
    inputs = {"target.model": settings.target.model, "seeds.path": settings.seeds.path}
    for name, source in settings.sources.items():
        inputs |= {f"sources.{name}.model": source.model, f"sources.{name}.files": source.files or source.model}
    for key, value in inputs.items():
        try:
            path = (folder / Path(value).expanduser()).resolve()
            inside = path.exists() and path.is_relative_to(folder) and path != folder
        except (OSError, RuntimeError, ValueError):
            continue
        if inside and path.relative_to(folder).parts[0] in OWN:
            raise UsageError(
                f"{key} of this run is {path}, which the deletion would remove: move it out of the run's folder first"
            )


def _others(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir() if path.name not in OWN))


def _remove(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(path)  # removes links, but does not follow them
    else:
        path.unlink()
