"""A repository of the hub as a list of files: links to large files of the run, and texts that are made for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faq_tui.core.base.errors import UsageError

MODEL, DATA_SET = "model", "dataset"  # the hub's names of the two kinds of repositories


@dataclass(frozen=True)
class Repository:
    """The files of a repository. A file is a path of this machine, or a text."""

    id: str  # user/name
    kind: str
    files: Mapping[str, Path | str]
    marker: str  # the file that marks a repository that faq-tui made
    # Files with these patterns belong to an earlier upload. They are deleted if the new upload does not have them.
    replaced: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes."""
        return {
            name: len(file.encode()) if isinstance(file, str) else file.stat().st_size
            for name, file in sorted(self.files.items())
        }

    @property
    def stamps(self) -> dict[str, tuple[int, ...]]:
        """For each file of this machine, numbers that change when the file is written again. () if it is gone."""
        return {name: _stamp(file) for name, file in self.files.items() if isinstance(file, Path)}

    @property
    def address(self) -> str:
        """The path of the repository's page below the hub's URL."""
        return self.id if self.kind == MODEL else f"{self.kind}s/{self.id}"

    def write(self, folder: Path) -> None:
        """Write the texts into the new folder `folder`, and links to the other files."""
        for name, file in self.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file, str):
                place.write_text(file, encoding="utf-8")
            else:
                place.symlink_to(file.resolve())


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        facts = path.stat()
    except OSError:
        return ()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def new_folder(folder: Path, models: Path) -> Path:
    """Create the folder. Raises UsageError if it holds something, cannot be created, or lies in the folder `models`
    of a run: the next upload of an artefact would then have these files, too."""
    try:
        folder = folder.expanduser().absolute()
        if folder.resolve().is_relative_to(models.resolve()):
            raise UsageError(f"{folder} is in the folder of the artefacts: choose another folder")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not an empty folder: choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{str(folder)[:200]!r} cannot be used as a folder: {error}") from None
    return folder
