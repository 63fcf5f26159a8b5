"""Held-out files that a person names in `[evaluate]`: errors say which key, file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from faq_tui.core.errors import UsageError
from faq_tui.core.run import Run
from faq_tui.core.store.text import storable

STARTER = "starter"  # the small sets that ship with faq-tui


def starter_path(kind_file: str) -> Path:
    return Path(str(files("faq_tui.core") / "data" / kind_file))


def json_lines(path: Path, key: str, limit: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, object) of the first `limit` lines that hold one. Raises UsageError on a line that does not."""
    for number, line in islice(_lines(path, key), limit):
        where = f"{path} line {number} of {key}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise UsageError(f"{where} is not JSON: mend the line, or leave it out") from None
        if not isinstance(value, dict):
            raise UsageError(f"{where} is not a JSON object: mend the line, or leave it out")
        yield where, value


def _lines(path: Path, key: str) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except FileNotFoundError:
        raise UsageError(f"no file at {path}: {key} names it") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} of {key} is not UTF-8 text ({error.reason}): save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {path} of {key}: {error.strerror}") from None


def text_of(value: Any, where: str, field: str) -> str:
    """A text that is there, not empty, and can be stored. Raises UsageError."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f'{where} has no text "{field}": mend the line, or leave it out')
    return storable(value)


def is_jsonl(run: Run, name: str) -> bool:
    return run.resolve(name).suffix.lower() in (".jsonl", ".ndjson")
