"""Records of a seed file, one at a time, each with its line; broken ones become `Problem`s, not exceptions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.sanitize import storable
from faq_tui.core.seeds.shapes import CHAT_FIELDS

STARTER = "starter"
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt")


@dataclass(frozen=True)
class Record:
    line: int  # 1-based; the row, where a format has no lines
    value: Any  # a dict, or a str in plain text


@dataclass(frozen=True)
class Problem:
    line: int
    reason: str


Records = Iterator[Record | Problem]


def starter_path() -> Path:
    """The seeds that ship with faq-tui: questions written for it."""
    return Path(str(files("faq_tui.core") / "data" / "starter_seeds.jsonl"))


def read_records(path: Path, name: str, split: str) -> Records:
    """Records of the file at `path`; where there is none and `name` can be one, of the `datasets` id `name`.

    Raises UsageError for a missing file, an unknown ending, or content that is not what the ending says.
    """
    if name == STARTER:
        path = starter_path()
    if path.is_dir():
        raise UsageError(f"seeds.path {name} is a folder: name one file ({', '.join(SUFFIXES)})")
    if path.exists():
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise UsageError(f"{path}: unknown ending {path.suffix!r}; seeds come as {', '.join(SUFFIXES)}")
        return reader(path)
    if path.suffix.lower() in SUFFIXES or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(f"no seed file at {path}: check seeds.path")
    return _dataset(name, split)


def _lines(path: Path) -> Iterator[Record | Problem]:
    """Decoded lines with their number; a line that is not UTF-8 is a problem, a blank one too."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                yield Problem(number, f"not UTF-8 (byte {error.start + 1} of the line)")
                continue
            yield Record(number, text) if text else Problem(number, "empty")


def _read_txt(path: Path) -> Records:
    for item in _lines(path):
        if isinstance(item, Record) and "\0" in item.value:
            raise UsageError(f"{path} line {item.line} holds NUL bytes: it is not a text file")
        yield item


def _read_jsonl(path: Path) -> Records:
    good, broken = 0, 0
    for item in _lines(path):
        if isinstance(item, Problem):
            yield item
            continue
        try:
            value = json.loads(item.value)
        except (ValueError, RecursionError) as error:
            broken += 1
            if not good and broken > 20:
                break  # a file of another kind: said below
            yield Problem(item.line, f"not JSON ({_short(error)})")
            continue
        if not good and not broken and isinstance(value, list):
            raise UsageError(f"{path} holds one JSON array, not a JSON object a line: name it .json")
        good += 1
        yield Record(item.line, value)
    if broken and not good:
        raise UsageError(f"{path} is not what its ending says: none of its first {broken} lines is JSON")


def _read_json(path: Path) -> Records:
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not what its ending says: not UTF-8 text (byte {error.start + 1})") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not what its ending says: not JSON ({_short(error)})") from None
    if isinstance(data, dict) and any(isinstance(data.get(name), list) for name in CHAT_FIELDS):
        data = [data]  # one conversation
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise UsageError(f"{path} holds an object with {len(lists)} lists: faq-tui needs one list of seeds")
        data = lists[0]
    if not isinstance(data, list):
        raise UsageError(f"{path} holds no list of seeds")
    for row, value in enumerate(data, 1):
        yield Record(row, value)


def _read_csv(path: Path) -> Records:
    csv.field_size_limit(1 << 24)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    # Bytes that are not UTF-8 come through as lone surrogates, so that each is told with its line.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(rows, [])
        except csv.Error as error:
            raise UsageError(f"{path} is not what its ending says: {_short(error)}") from None
        if any("\0" in name or name != storable(name) for name in header):
            raise UsageError(f"{path} is not what its ending says: its first line is not UTF-8 text")
        while True:
            line = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Problem(line, f"not {path.suffix[1:].upper()} ({_short(error)})")
                continue
            yield _csv_row(line, header, row)


def _csv_row(line: int, header: list[str], row: list[str]) -> Record | Problem:
    if not any(cell.strip() for cell in row):
        return Problem(line, "empty")
    if len(row) != len(header):
        return Problem(line, f"not the {len(header)} columns of the first line, but {len(row)}")
    if any(cell != storable(cell) for cell in row):
        return Problem(line, "not UTF-8")
    return Record(line, dict(zip(header, row, strict=True)))


def _read_parquet(path: Path) -> Records:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        row = 0
        for batch in file.iter_batches(batch_size=1024):
            for value in batch.to_pylist():
                row += 1
                yield Record(row, value)
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
        raise UsageError(f"{path} is not what its ending says: {_short(error)}") from None


def _dataset(name: str, split: str) -> Records:
    import datasets

    try:
        rows = datasets.load_dataset(name, split=split, streaming=True)
        for row, value in enumerate(rows, 1):
            yield Record(row, value)
    except Exception as error:  # noqa: BLE001  the library raises whatever its hub client does
        raise FaqError(
            f"no file and no data set {name!r} (split {split!r}) could be read: {_short(error)}; "
            "check seeds.path, or the network"
        ) from None


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


_READERS: dict[str, Callable[[Path], Records]] = {
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
}
