"""CSV and TSV: the first line names the fields."""

from __future__ import annotations

import csv
import io
from itertools import chain
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import storable
from faq_tui.core.seeds.formats.base import Problem, Record, Records, SeedFormat, one_line
from faq_tui.core.seeds.formats.opening import opened
from faq_tui.core.settings import Seeds

LONGEST_CELL = 1 << 24  # maximum length of a cell in characters


class Delimited(SeedFormat):
    """A table of text whose cells are separated by `delimiter`. A quoted cell may contain line breaks."""

    def __init__(self, name: str, title: str, delimiter: str, between: str) -> None:
        self.name, self.title, self.delimiter = name, title, delimiter
        self.help = f"A table with {between} between its cells; the first line names the columns."
        self.suffixes = (f".{name}",)
        self.unpacks = True

    def records(self, path: Path, settings: Seeds) -> Records:
        csv.field_size_limit(LONGEST_CELL)
        # Bytes that are not UTF-8 are read as lone surrogates. This makes it possible to report each invalid byte
        # with the number of its line.
        with opened(path, settings.encoding) as raw:
            file = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
            lines = iter(file)
            first = next(lines, "")
            rows = csv.reader(chain([first], lines), delimiter=self._delimiter_in(first, settings), strict=True)
            try:
                header = next(rows, [])
            except csv.Error as error:
                raise UsageError(f"{path} does not match its file extension: {one_line(error)}") from None
            if any("\0" in name or name != storable(name) for name in header):
                raise UsageError(f"{path} does not match its file extension: its first line is not UTF-8 text")
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

    def _delimiter_in(self, first: str, settings: Seeds) -> str:
        """The delimiter of the first line.

        The delimiter of a table is usually the delimiter of its format. If the line lacks this delimiter and contains
        exactly one other kind of delimiter, that delimiter is used.
        """
        if self.delimiter in first or first.strip().strip('"') == settings.prompt_field:
            return self.delimiter
        others = [one for one in ",\t;" if one in first]
        return others[0] if len(others) == 1 else self.delimiter


def _record(line: int, header: list[str], row: list[str]) -> Record | Problem:
    if not any(cell.strip() for cell in row):
        return Problem(line, "empty")
    if len(row) != len(header):
        return Problem(line, f"a row with {len(row)} instead of {len(header)} columns")
    if any(cell != storable(cell) for cell in row):
        return Problem(line, "not UTF-8")
    return Record(line, dict(zip(header, row, strict=True)))


CSV = Delimited("csv", "CSV", ",", "commas")
TSV = Delimited("tsv", "TSV", "\t", "tabs")
