"""Read a data set of the `datasets` library. The name of a data set is an id, such as `openai/gsm8k`, or a folder.

No code of a data set is run: the library loads only files of rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.seeds.formats.base import Record, Records, SeedFormat, one_line
from faq_tui.core.settings import Seeds

SAVED = ("dataset_dict.json", "state.json")  # files that mark a folder written by `save_to_disk`
MOST_CARD = 1 << 20  # maximum number of characters that are read from a data set's card
CONFIGS = re.compile(r"\A---\s*\n(?:.*\n)*?configs:\s*\n(?:.*\n)*?---", re.MULTILINE)
NAMES = re.compile(r"\[(.+?)\]")


def is_dataset_folder(path: Path) -> bool:
    """True if `datasets` has saved the folder, or if the folder's README.md lists configurations of a data set."""
    if any((path / name).is_file() for name in SAVED):
        return True
    try:
        with (path / "README.md").open(encoding="utf-8", errors="replace") as file:
            return CONFIGS.match(file.read(MOST_CARD)) is not None
    except OSError:
        return False


class HubDataset(SeedFormat):
    name = "datasets"
    title = "a `datasets` id"
    help = "The id of a data set for the `datasets` library; `seeds.split` names the split that is read."

    def recognises(self, path: Path, name: str) -> bool:
        return not path.exists() and not name.startswith((".", "/", "~")) and name.count("/") <= 1

    def records(self, path: Path, settings: Seeds) -> Records:
        """The rows of the split.

        Each row is downloaded when it is read. Raises FaqError if the rows cannot be fetched.
        """
        try:
            for row, raw in enumerate(_rows(path, settings), 1):
                yield Record(row, raw)
        except FaqError:
            raise
        except Exception as error:  # noqa: BLE001  the library also raises the errors of its hub client
            raise _failure(path, settings, error) from None


def _rows(path: Path, settings: Seeds) -> Iterator[dict[str, Any]]:
    """The rows of the split. Images and sounds are not decoded: they stay bytes or paths."""
    import datasets

    local = path.is_dir()
    if local and any((path / name).is_file() for name in SAVED):
        saved = datasets.load_from_disk(str(path))
        if isinstance(saved, dict):
            if settings.split not in saved:
                raise UsageError(
                    f"{path} has no split {settings.split!r}: set seeds.split to one of {', '.join(map(str, saved))}"
                )
            saved = saved[settings.split]
        return iter(_undecoded(saved))
    where = str(path) if local else settings.path
    further = {"revision": settings.revision} if settings.revision is not None and not local else {}
    rows = datasets.load_dataset(
        where, name=settings.config, split=settings.split, streaming=settings.streaming, **further
    )
    return iter(_undecoded(rows))


def _undecoded(rows: Any) -> Any:
    """The rows with images, sounds and films left as bytes or paths."""
    import datasets

    media = (datasets.Image, datasets.Audio, datasets.Video)
    for name, feature in (rows.features or {}).items():
        if isinstance(feature, media):
            rows = rows.cast_column(name, type(feature)(decode=False))
    return rows


def _failure(path: Path, settings: Seeds, error: Exception) -> FaqError:
    """Turn an error of the library into a sentence that names the setting to change."""
    text, name = " ".join(str(error).split()), settings.path
    listed = NAMES.search(text)
    names = ", ".join(part.strip().strip("'\"") for part in listed[1].split(",")[:12]) if listed else ""
    if "Config name is missing" in text and names:
        return UsageError(f"the data set {name} has several configurations: set seeds.config to one of {names}")
    if re.search(r"BuilderConfig .* not found", text) and names:
        return UsageError(
            f"the data set {name} has no configuration {settings.config!r}: seeds.config can be {names}"
        )
    if re.search(r"(Bad|Unknown) split", text) and names:
        return UsageError(f"the data set {name} has no split {settings.split!r}: set seeds.split to one of {names}")
    if not path.exists() and ":" in name:
        plain, _, config = name.partition(":")
        return UsageError(
            f"there is no data set {name!r}: to read one configuration of a data set, set "
            f"path = {json.dumps(plain)} and config = {json.dumps(config)}"
        )
    parts = [f"split {settings.split!r}"]
    parts += [f"configuration {settings.config!r}"] if settings.config is not None else []
    parts += [f"revision {settings.revision!r}"] if settings.revision is not None else []
    return FaqError(
        f"neither a file nor a data set {name!r} ({', '.join(parts)}) could be read: "
        f"{one_line(error)}; check seeds.path, or the network"
    )


FORMAT = HubDataset()
