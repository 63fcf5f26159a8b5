"""What a row of the table is."""

from __future__ import annotations

from dataclasses import dataclass

HEADING, GROUP, MODEL, EMPTY = "heading", "group", "model", "empty"


@dataclass(frozen=True)
class TableRow:
    """`detail` is what is said of the row when the cursor stands on it."""

    kind: str
    name: str = ""
    title: str = ""  # the part of a heading's name that may be shortened first
    value: str = ""
    interval: str = ""
    recovered: str = ""
    verdict: str = ""
    change: str = ""
    p: str = ""
    detail: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        return self.name, self.value, self.interval, self.recovered, self.verdict, self.change, self.p
