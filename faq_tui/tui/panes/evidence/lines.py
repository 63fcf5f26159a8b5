"""The lines of the table and of the list of items.

If the columns do not all fit on the screen, they are divided into pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rich.cells import cell_len
from rich.text import Text

from faq_tui.core.base.text import sanitize
from faq_tui.core.evaluation.kinds import LABELLED, kind_of
from faq_tui.tui.panes.evidence.data import EvidenceViewState, LoadedEvidence
from faq_tui.tui.panes.evidence.items import Entry
from faq_tui.tui.panes.evidence.table import EMPTY, GROUP, HEADING, MODEL, TableRow
from faq_tui.tui.panes.evidence.words import STYLES
from faq_tui.tui.widgets.short import middle
from faq_tui.tui.widgets.table import Column, filled, head, row

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
# Maps a column to the number of empty cells before it. A column that is missing here has GAP empty cells.
GAPS = {"value": 1, "interval": 1}
GAP = 2
ITEM_CELL = 13  # minimum width of a column for an item's model
ITEMS_SHARE = 0.6  # the columns of the three models get at most this share of a line
ITEM_STYLES = {"right": "green", "wrong": "bold red"}
MODELS = 3

Page = dict[str, Column]  # maps a field of TableRow to its column


def pages_of(rows: Iterable[TableRow], width: int) -> list[Page]:
    """Divide the columns into pages of at most `width` cells. A column is as wide as its widest cell in `rows`."""
    models = [row for row in rows if row.kind == MODEL]
    columns = {
        key: Column(
            name,
            max([cell_len(name), *(cell_len(getattr(row, key)) for row in models)]),
            right=key == "value",
            gap=GAPS.get(key, GAP),
            cut="middle",
        )
        for key, name in HEADS.items()
    }
    longest = max([LEAST_NAME, *(cell_len(row.name) for row in models)])
    pages = _pages(columns, width - min(longest, MOST_NAME))
    if len(pages) > 1:  # with a narrower column of names, fewer pages may be enough
        fewer = _pages(columns, width - LEAST_NAME)
        pages = fewer if len(fewer) < len(pages) else pages
    rest = width - max(sum(column.gap + column.width for column in page.values()) for page in pages)
    name = Column("  model", max(1, min(longest, rest)), cut="middle")
    return [{"name": name, **page} for page in pages]


def _pages(columns: Page, room: int) -> list[Page]:
    """Divide the columns into pages of at most `room` cells.

    Each page has the columns in ALWAYS and one or more of the other columns.
    """
    widths = {key: column.gap + column.width for key, column in columns.items()}
    fixed = sum(widths[key] for key in ALWAYS)
    pages: list[list[str]] = [[]]
    for key in HEADS:
        if key in ALWAYS:
            continue
        used = fixed + sum(widths[other] for other in pages[-1])
        if pages[-1] and used + widths[key] > room:
            pages.append([])
        pages[-1].append(key)
    return [{key: columns[key] for key in HEADS if key in (*page, *ALWAYS)} for page in pages]


def line(table_row: TableRow, page: Page, width: int) -> Text:
    if table_row.kind == EMPTY:
        return Text(end="")
    if table_row.kind in (HEADING, GROUP):
        style = "bold" if table_row.kind == HEADING else "italic"
        return Text(no_wrap=True, end="").append(_titled(table_row, width), style)
    styles = {"interval": "dim", "verdict": STYLES.get(table_row.verdict, "")}
    return row(page.values(), [(getattr(table_row, key), styles.get(key, "")) for key in page])


def _titled(row: TableRow, width: int) -> str:
    """The name of a heading or group. If the name is too long, shorten the title of the held-out text in the name."""
    name, title = sanitize(row.name), sanitize(row.title)
    over = cell_len(name) - width
    if over > 0 and title and cell_len(title) - over >= MODELS:
        before, _, after = name.rpartition(title)
        name = f"{before}{middle(title, cell_len(title) - over)}{after}"
    return middle(name, width)


def item_head(loaded: LoadedEvidence, view_state: EvidenceViewState, width: int) -> Text:
    """The names of the columns of the list of items."""
    names = names_of(loaded, view_state)
    columns = _item_columns(names, width)
    short = [middle(sanitize(name), column.width - 1) for name, column in zip(names, columns, strict=False)]
    return head([replace(column, name=name) for column, name in zip(columns, (*short, "item"), strict=True)], "bold")


def item(loaded: LoadedEvidence, view_state: EvidenceViewState, entry: Entry, width: int) -> Text:
    kind = kind_of(entry.text)
    description = entry.words if kind in LABELLED else f"{loaded.title(entry.text)}: {entry.words}"
    cells = [(cell, ITEM_STYLES.get(cell, "")) for cell in entry.cells]
    return row(filled(_item_columns(names_of(loaded, view_state), width), width), [*cells, (description, "")])


def names_of(loaded: LoadedEvidence, view_state: EvidenceViewState) -> tuple[str, str, str]:
    """The names of the three models. If the two quantized models share a recipe, only their sets are shown."""
    rows = {row.name: row for row in loaded.models}
    left, right = rows.get(view_state.left), rows.get(view_state.right)
    if left and right and left.recipe == right.recipe:
        return "unquantized", left.set_name or view_state.left, right.set_name or view_state.right
    return "unquantized", view_state.left, view_state.right


def _item_columns(names: tuple[str, str, str], width: int) -> tuple[Column, ...]:
    longest = max(cell_len(sanitize(name)) for name in names) + 1
    each = max(ITEM_CELL, min(longest, int(ITEMS_SHARE * width) // MODELS))
    return (*(Column(width=each) for _ in names), Column())
