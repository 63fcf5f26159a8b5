"""Choose the format that reads the seeds of `seeds.path`, and read their records."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.extensions import SEED_FORMATS
from faq_tui.core.seeds.files import SeedFile, files_of_folder, files_of_pattern, is_pattern
from faq_tui.core.seeds.formats.base import Records, SeedFormat
from faq_tui.core.seeds.formats.hub_dataset import is_dataset_folder
from faq_tui.core.seeds.formats.opening import PARQUET, as_plain_file, first_bytes, plain_suffix
from faq_tui.core.settings import Seeds

STARTER = "starter"


def starter_path() -> Path:
    """The file with the seeds that ship with faq-tui."""
    return Path(str(files("faq_tui.core") / "data" / "starter_seeds.jsonl"))


def suffixes() -> tuple[str, ...]:
    """The file extensions of all seed files. The extensions of faq-tui's own formats come first."""
    return tuple(suffix for seed_format in SEED_FORMATS.all() for suffix in seed_format.suffixes)


def read_records(path: Path, settings: Seeds) -> Records:
    """The records of the file at `path`, or of the folder, pattern or data set that `settings.path` names.

    Raises UsageError if a file is missing, if its file extension is unknown, or if its content does not match the
    extension.
    """
    if settings.path == STARTER:
        path = starter_path()
    several = _several(path, settings)
    if several is None:
        return _records(format_of(path, settings.path), path, settings)
    return _of_several([(format_of(one.path, one.name), one) for one in several], settings)


def format_of(path: Path, name: str) -> SeedFormat:
    """The format that reads `name`, the value of `seeds.path`. If `name` is a file, its path is `path`.

    Formats of faq-tui are tried before formats of other packages. Formats of files are tried before data sets. If a
    file's content is certainly not in the format of its file extension, the format of the content is used. Raises
    UsageError if there is no such file, or no format for it.
    """
    if path.is_dir():
        if is_dataset_folder(path):
            return _builtin("datasets")
        endings = ", ".join(suffixes())
        raise UsageError(f"seeds.path {name} is a folder without seed files ({endings}): give a file")
    suffix = plain_suffix(path)
    by_suffix = _of_suffix(suffix)
    if path.exists():
        by_content = _of_content(path, suffix)
        if by_content is not None:
            return by_content
        if by_suffix is not None:
            return by_suffix
        raise UsageError(f"{path}: unknown file extension {path.suffix!r}; seed files end in {', '.join(suffixes())}")
    if by_suffix is None:
        for seed_format in SEED_FORMATS.all():
            if not seed_format.suffixes and seed_format.recognises(path, name):
                reader: SeedFormat = seed_format
                return reader
    parts = name.split("/")
    if by_suffix is None and len(parts) == 3 and all(part.strip(".~") for part in parts):
        hint = f'; for a configuration of a data set, set path = "{parts[0]}/{parts[1]}" and config = "{parts[2]}"'
        raise UsageError(f"no seed file at {path}: check seeds.path{hint}")
    raise UsageError(f"no seed file at {path}: check seeds.path")


def _several(path: Path, settings: Seeds) -> list[SeedFile] | None:
    """The files of a folder or of a pattern; None if the name stands for one file or a data set."""
    if is_pattern(path, settings.path):
        return files_of_pattern(path, settings.path)
    if not path.is_dir() or settings.config is not None or is_dataset_folder(path):
        return None
    known = set(suffixes())
    return files_of_folder(path, settings.path, settings.split, known.__contains__) or None


def _of_several(several: list[tuple[SeedFormat, SeedFile]], settings: Seeds) -> Records:
    for seed_format, one in several:
        for item in _records(seed_format, one.path, settings):
            yield replace(item, file=one.name)


def _records(seed_format: SeedFormat, path: Path, settings: Seeds) -> Records:
    """The file's records. A format that does not unpack files itself reads an unpacked copy."""
    if seed_format.unpacks or not path.is_file():
        return seed_format.records(path, settings)
    return _of_copy(seed_format, path, settings)


def _of_copy(seed_format: SeedFormat, path: Path, settings: Seeds) -> Records:
    with as_plain_file(path) as plain:
        try:
            yield from seed_format.records(plain, settings)
        except UsageError as error:
            raise UsageError(str(error).replace(str(plain), str(path))) from None


def _of_content(path: Path, suffix: str) -> SeedFormat | None:
    """The format that the file's content shows. None if the suffix decides which format is used."""
    if not path.is_file():
        return None
    head = first_bytes(path)
    if head.startswith(PARQUET):
        return _builtin("parquet")
    by_suffix = _of_suffix(suffix)
    if by_suffix is not None and by_suffix.name not in SEED_FORMATS.builtin:
        return None
    if suffix in (".txt", ".json", ".jsonl", ".ndjson"):
        # The suffix decides, because the content could mislead: a line of plain text may be JSON. The formats for
        # JSON and for JSON lines can each read the files of the other.
        return None
    return _builtin("jsonl") if _begins_as_json(head.removeprefix(b"\xef\xbb\xbf").lstrip()) else None


def _begins_as_json(head: bytes) -> bool:
    """True if the first line is a JSON object, or the text begins like a list of objects."""
    first = head.split(b"\n", 1)[0].strip()
    if first.startswith(b"{"):
        try:
            return isinstance(json.loads(first), dict)
        except (ValueError, RecursionError):
            return False
    return first.startswith(b"[") and head[1:].lstrip().startswith(b"{")


def _builtin(name: str) -> SeedFormat:
    seed_format: SeedFormat = SEED_FORMATS.get(name)
    return seed_format


def _of_suffix(suffix: str) -> SeedFormat | None:
    """The format of files with this file extension. Raises FaqError if two installed packages claim the extension."""
    further = []
    # The formats are loaded one by one. Therefore a broken package of another author does not prevent the use of
    # faq-tui's own formats.
    for name in SEED_FORMATS.names():
        seed_format: SeedFormat = SEED_FORMATS.get(name)
        if suffix in seed_format.suffixes:
            if name in SEED_FORMATS.builtin:
                return seed_format
            further.append(seed_format)
    if len(further) > 1:
        raise FaqError(
            f"the seed formats {' and '.join(one.name for one in further)} both read {suffix} files: "
            "uninstall the package of one of them"
        )
    return further[0] if further else None
