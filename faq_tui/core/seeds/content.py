"""Hash the contents of seed files. A file that was copied, or installed again, has the same hash.

Hashing a large file takes long, so hashes are kept in the run's cache folder until the file changes.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from faq_tui.core.base.kept import Kept
from faq_tui.core.seeds.files import named_files

# The hash of a file is stored only if the file has not changed for this many seconds. A newer file may change again
# without a new modification time, and then the stored hash would be wrong.
SETTLED_S = 3.0


def content_of(path: Path, name: str, kept: Kept) -> list[list[str]] | None:
    """Return [name of the file, hash of its content] for each seed file. `name` is the value of `seeds.path`.

    The names of files in a folder are relative to the folder, so that the folder may be moved. The result is None if
    there is no seed file, for example if `name` is the id of a data set.
    """
    files = named_files(path, name)
    base = path.parent if path.is_file() else path
    return [[_relative(file, base), _hash(file, kept)] for file in files] or None


def _relative(file: Path, base: Path) -> str:
    """The path of the file relative to the folder `base`.

    If the file is outside `base`, the result is the last two parts of its path.
    """
    return str(file.relative_to(base)) if file.is_relative_to(base) else str(Path(*file.parts[-2:]))


def _hash(file: Path, kept: Kept) -> str:
    about = file.stat()
    state = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    settled = time.time() - max(about.st_mtime, about.st_ctime) > SETTLED_S

    def compute() -> str:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    return str(kept.get(str(file), state, compute, keep=lambda: settled))
