"""Which of the table's columns stand on the screen, and how wide: what has no room comes on a further page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len

from faq_tui.tui.panes.evidence_row import MODEL, TableRow

HEADS = {
    "value": "value",
    "interval": "95% interval",
    "recovered": "loss recovered",
    "verdict": "verdict",
    "change": "change",
    "p": "p",
}
ALWAYS = ("value", "verdict")  # on every page: a figure is read with its verdict
LEAST_NAME, MOST_NAME = 18, 40
GAPS = {"value": 1, "interval": 1}  # of the cells before a column; of the others:
GAP = 2


@dataclass(frozen=True)
class Columns:
    """`name` is the width of the names, `pages` the columns of each page with their widths, gaps included."""

    name: int
    pages: tuple[tuple[tuple[str, int], ...], ...]

    def page(self, number: int) -> tuple[tuple[str, int], ...]:
        return self.pages[number % len(self.pages)]


def columns_of(rows: Iterable[TableRow], width: int) -> Columns:
    """Wide enough for every cell of `rows`; `width` is what a line has."""
    models = [row for row in rows if row.kind == MODEL]
    widths = {
        column: GAPS.get(column, GAP) + max([cell_len(head), *(cell_len(getattr(row, column)) for row in models)])
        for column, head in HEADS.items()
    }
    longest = max([LEAST_NAME, *(cell_len(row.name) for row in models)])
    name = min(longest, MOST_NAME)
    pages = _pages(widths, width - name)
    if len(pages) > 1:  # a shorter name may save a page
        fewer = _pages(widths, width - LEAST_NAME)
        pages = fewer if len(fewer) < len(pages) else pages
    rest = width - max(sum(wide for _, wide in page) for page in pages)
    return Columns(max(1, min(longest, rest)), pages)


def _pages(widths: dict[str, int], room: int) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Columns in their order, as many on a page as fit, at least one beside those that are always there."""
    fixed = sum(widths[column] for column in ALWAYS)
    pages: list[list[str]] = [[]]
    for column in HEADS:
        if column in ALWAYS:
            continue
        used = fixed + sum(widths[other] for other in pages[-1])
        if pages[-1] and used + widths[column] > room:
            pages.append([])
        pages[-1].append(column)
    shown = [[column for column in HEADS if column in (*page, *ALWAYS)] for page in pages]
    return tuple(tuple((column, widths[column]) for column in page) for page in shown)
