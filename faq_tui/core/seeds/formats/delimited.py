"""CSV and TSV: the first line names the fields."""

from __future__ import annotations

import csv
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import storable
from faq_tui.core.seeds.formats.base import Problem, Record, Records, SeedFormat, one_line
from faq_tui.core.settings import Seeds

LONGEST_CELL = 1 << 24  # in characters


class Delimited(SeedFormat):
    """A text table with cells separated by `delimiter`. A quoted cell may contain line ends."""

    def __init__(self, name: str, title: str, delimiter: str, between: str) -> None:
        self.name, self.title, self.delimiter = name, title, delimiter
        self.help = f"A table with {between} between its cells; the first line names the columns."
        self.suffixes = (f".{name}",)

    def records(self, path: Path, settings: Seeds) -> Records:
        del settings
        csv.field_size_limit(LONGEST_CELL)
        # Bytes that are not UTF-8 become lone surrogates, which are later reported with their line.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, delimiter=self.delimiter, strict=True)
            try:
                header = next(rows, [])
            except csv.Error as error:
                raise UsageError(f"{path} is not what its ending says: {one_line(error)}") from None
            if any("\0" in name or name != storable(name) for name in header):
                raise UsageError(f"{path} is not what its ending says: its first line is not UTF-8 text")
            while True:
                line = rows.line_num + 1
                try:
                    row = next(rows)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Problem(line, f"not {self.title} ({one_line(error)})")
                    continue
                yield _record(line, header, row)


def _record(line: int, header: list[str], row: list[str]) -> Record | Problem:
    if not any(cell.strip() for cell in row):
        return Problem(line, "empty")
    if len(row) != len(header):
        return Problem(line, f"not the {len(header)} columns of the first line, but {len(row)}")
    if any(cell != storable(cell) for cell in row):
        return Problem(line, "not UTF-8")
    return Record(line, dict(zip(header, row, strict=True)))


CSV = Delimited("csv", "CSV", ",", "commas")
TSV = Delimited("tsv", "TSV", "\t", "tabs")
