"""Find the format for the seeds that `seeds.path` names, and read their records."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.extensions import SEED_FORMATS
from faq_tui.core.seeds.formats.base import Records, SeedFormat
from faq_tui.core.settings import Seeds

STARTER = "starter"


def starter_path() -> Path:
    """The path of the seeds in this package. Their questions were written for faq-tui."""
    return Path(str(files("faq_tui.core") / "data" / "starter_seeds.jsonl"))


def suffixes() -> tuple[str, ...]:
    """The endings of all seed files. The endings of faq-tui's own formats come first."""
    return tuple(suffix for seed_format in SEED_FORMATS.all() for suffix in seed_format.suffixes)


def read_records(path: Path, settings: Seeds) -> Records:
    """The records of the file at `path`, or of the data set that `settings.path` names.

    Raises UsageError if the file is missing, its ending is unknown, or its content does not fit its ending.
    """
    if settings.path == STARTER:
        path = starter_path()
    return format_of(path, settings.path).records(path, settings)


def format_of(path: Path, name: str) -> SeedFormat:
    """The format for the seeds with the name `name` in `seeds.path`. `path` is where a file of this name would be.

    Formats of faq-tui take precedence over formats of other packages, and files over data sets. Raises UsageError if
    there is no such file, or no format for it.
    """
    if path.is_dir():
        raise UsageError(f"seeds.path {name} is a folder: name one file ({', '.join(suffixes())})")
    by_suffix = _of_suffix(path.suffix.lower())
    if by_suffix is not None and path.exists():
        return by_suffix
    if path.exists():
        raise UsageError(f"{path}: unknown ending {path.suffix!r}; seeds come as {', '.join(suffixes())}")
    if by_suffix is None:
        for seed_format in SEED_FORMATS.all():
            if not seed_format.suffixes and seed_format.recognises(path, name):
                reader: SeedFormat = seed_format
                return reader
    raise UsageError(f"no seed file at {path}: check seeds.path")


def _of_suffix(suffix: str) -> SeedFormat | None:
    """The format for files with this ending. Raises FaqError if two other packages each add a format for it."""
    further = []
    for name in SEED_FORMATS.names():  # loaded one by one, because our formats must work beside a broken package
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
