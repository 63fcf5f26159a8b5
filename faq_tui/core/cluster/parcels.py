"""Send files and folders through Ray's object store, in pieces of a limited size."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.hashing import digest

PIECE = 64 << 20  # bytes in one object of the store

Listing = list[tuple[str, int]]  # (path inside the folder, size in bytes); the path of a single file is ""


@dataclass(frozen=True)
class Parcel:
    """A file or a folder whose content is in the object store. `key` is a hash that identifies the content."""

    key: str
    name: str
    files: Listing
    pieces: list[Any]  # references to the pieces of all files, in order


def listing(path: Path) -> Listing:
    """All files of a folder, or the one file."""
    if path.is_file():
        return [("", path.stat().st_size)]
    found = (file for file in sorted(path.rglob("*")) if file.is_file())
    return [(file.relative_to(path).as_posix(), file.stat().st_size) for file in found]


def pieces(path: Path, files: Listing) -> Iterator[bytes]:
    """The content of all files, in order. Each piece belongs to one file."""
    for name, _ in files:
        with (path / name if name else path).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


def pack(path: Path, put: Callable[[bytes], Any]) -> Parcel:
    """Put a file or folder into the object store. `put` stores one piece and returns a reference to it."""
    files = listing(path)
    times = [(path / name if name else path).stat().st_mtime_ns for name, _ in files]
    return Parcel(digest(str(path), files, times), path.name, files, [put(piece) for piece in pieces(path, files)])


def unpack(path: Path, files: Listing, content: Iterable[bytes]) -> None:
    """Write the files of a parcel to `path`. `content` has the pieces of `pieces`."""
    left = iter(content)
    for name, size in files:
        inner = PurePosixPath(name)
        if inner.is_absolute() or ".." in inner.parts:
            raise FaqError(f"a machine of the cluster sent a file with the name {name!r}: nothing was stored")
        target = path / name if name else path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            while file.tell() < size:
                piece = next(left, b"")
                if not piece:
                    raise FaqError(f"{target} did not arrive whole from the cluster: run the same command again")
                file.write(piece)


def delivered(parcel: Parcel, get: Callable[[Any], bytes], root: Path) -> Path:
    """The path of the parcel's file or folder on this machine. It is fetched only once."""
    place = root / "inputs" / parcel.key
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=".half-", dir=place.parent))
        try:
            unpack(half / parcel.name, parcel.files, (get(piece) for piece in parcel.pieces))
            try:
                half.rename(place)
            except OSError:  # another task of this machine was faster
                if not place.is_dir():
                    raise
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return place / parcel.name


def own_root(run: str) -> Path:
    """A folder of this machine for the files of the run `run`, which only this user can read."""
    root = Path(tempfile.gettempdir()) / f"faq-tui-cluster-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    info = root.lstat()
    if root.is_symlink() or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise FaqError(
            f"{root} can be changed by other users: delete this folder on the machine {os.uname().nodename}"
        )
    folder = root / digest(run)
    folder.mkdir(exist_ok=True)
    return folder
