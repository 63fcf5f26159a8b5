"""The lines of the table and of the list of items. Columns that do not fit are on further pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from faq_tui.core.base.text import sanitize
from faq_tui.core.evaluation.kinds import LABELLED, kind_of
from faq_tui.tui.panes.evidence.data import EvidenceViewState, LoadedEvidence
from faq_tui.tui.panes.evidence.items import Entry
from faq_tui.tui.panes.evidence.table import EMPTY, GROUP, HEADING, MODEL, TableRow
from faq_tui.tui.panes.evidence.words import STYLES
from faq_tui.tui.widgets.short import ELLIPSIS, middle, padded

HEADS = {
    "value": "value",
    "interval": "95% interval",
    "recovered": "loss recovered",
    "verdict": "verdict",
    "change": "change",
    "p": "p",
}
ALWAYS = ("value", "verdict")  # columns that are shown on every page
LEAST_NAME, MOST_NAME = 18, 40
GAPS = {"value": 1, "interval": 1}  # number of empty cells before these columns; other columns have GAP cells
GAP = 2
ITEM_CELL = 13  # minimum width of a column for an item's model
ITEMS_SHARE = 0.6  # the three models get at most this share of a line
ITEM_STYLES = {"right": "green", "wrong": "bold red"}
MODELS = 3


@dataclass(frozen=True)
class Columns:
    """`name` is the width of the names in cells.

    `pages` holds the columns of each page, with their widths and gaps.
    """

    name: int
    pages: tuple[tuple[tuple[str, int], ...], ...]

    def page(self, number: int) -> tuple[tuple[str, int], ...]:
        return self.pages[number % len(self.pages)]


def columns_of(rows: Iterable[TableRow], width: int) -> Columns:
    """Columns that are wide enough for every cell of `rows`, in pages of at most `width` cells."""
    models = [row for row in rows if row.kind == MODEL]
    widths = {
        column: GAPS.get(column, GAP) + max([cell_len(head), *(cell_len(getattr(row, column)) for row in models)])
        for column, head in HEADS.items()
    }
    longest = max([LEAST_NAME, *(cell_len(row.name) for row in models)])
    name = min(longest, MOST_NAME)
    pages = _pages(widths, width - name)
    if len(pages) > 1:  # with a shorter name, one page less may be enough
        fewer = _pages(widths, width - LEAST_NAME)
        pages = fewer if len(fewer) < len(pages) else pages
    rest = width - max(sum(wide for _, wide in page) for page in pages)
    return Columns(max(1, min(longest, rest)), pages)


def _pages(widths: dict[str, int], room: int) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Divide the columns into pages of at most `room` cells. Each page has the columns in ALWAYS and at least one
    further column.
    """
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


def head(columns: Columns, page: int) -> Text:
    """The heading with the names of the columns."""
    text = Text("  model".ljust(columns.name), style="bold", no_wrap=True, end="")
    for column, wide in columns.page(page):
        text.append(_cell(column, HEADS[column], wide))
    return text


def line(row: TableRow, columns: Columns, page: int, width: int) -> Text:
    if row.kind == EMPTY:
        return Text(end="")
    if row.kind in (HEADING, GROUP):
        style = "bold" if row.kind == HEADING else "italic"
        return Text(no_wrap=True, end="").append(_titled(row, width), style)
    text = Text(padded(sanitize(row.name), columns.name), no_wrap=True, end="")
    for column, wide in columns.page(page):
        cell = sanitize(getattr(row, column))
        style = STYLES.get(cell, "") if column == "verdict" else "dim" if column == "interval" else ""
        text.append(_cell(column, cell, wide), style)
    return text


def _cell(column: str, cell: str, wide: int) -> str:
    """The gap and the text of a cell. Values are right-aligned."""
    if column == "value":
        return cell.rjust(wide)
    gap = GAPS.get(column, GAP)
    return " " * gap + padded(cell, wide - gap)


def _titled(row: TableRow, width: int) -> str:
    """The name of a heading or group. If it is too long, the title of the held-out text is shortened."""
    name, title = sanitize(row.name), sanitize(row.title)
    over = cell_len(name) - width
    if over > 0 and title and cell_len(title) - over >= MODELS:
        before, _, after = name.rpartition(title)
        name = f"{before}{middle(title, cell_len(title) - over)}{after}"
    return middle(name, width)


def item_head(loaded: LoadedEvidence, view_state: EvidenceViewState, width: int) -> Text:
    """The names of the columns of the list of items."""
    names = names_of(loaded, view_state)
    return _item_cells(width, _cell_width(names, width), names, "item", "bold")


def item(loaded: LoadedEvidence, view_state: EvidenceViewState, entry: Entry, width: int) -> Text:
    kind = kind_of(entry.text)
    description = entry.words if kind in LABELLED else f"{loaded.title(entry.text)}: {entry.words}"
    return _item_cells(width, _cell_width(names_of(loaded, view_state), width), entry.cells, description)


def names_of(loaded: LoadedEvidence, view_state: EvidenceViewState) -> tuple[str, str, str]:
    """The names of the three models. If the two quantized models share a recipe, only their sets are shown."""
    rows = {row.name: row for row in loaded.models}
    left, right = rows.get(view_state.left), rows.get(view_state.right)
    if left and right and left.recipe == right.recipe:
        return "unquantized", left.set_name or view_state.left, right.set_name or view_state.right
    return "unquantized", view_state.left, view_state.right


def _cell_width(names: tuple[str, str, str], width: int) -> int:
    longest = max(cell_len(sanitize(name)) for name in names) + 1
    return max(ITEM_CELL, min(longest, int(ITEMS_SHARE * width) // MODELS))


def _item_cells(width: int, each: int, cells: tuple[str, str, str], last: str, style: str = "") -> Text:
    text = Text(style=style, no_wrap=True, end="")
    for cell in cells:
        text.append(f"{padded(sanitize(cell), each - 1)} ", ITEM_STYLES.get(cell, ""))
    return text.append(beginning(sanitize(last, 2 * width), width - MODELS * each))


def beginning(text: str, width: int) -> str:
    """The beginning of running text, cut to `width` cells."""
    short = Text(text, no_wrap=True)
    short.truncate(max(0, width), overflow="ellipsis")
    return short.plain if width > 0 else ELLIPSIS[:0]
