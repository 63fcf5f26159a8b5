"""The table's rows as styled lines that fit a width."""

from __future__ import annotations

from rich.cells import set_cell_size
from rich.text import Text

from faq_tui.core.evaluation.kinds import LABELLED, kind_of
from faq_tui.core.literal import literal
from faq_tui.tui.panes.evidence_found import Found
from faq_tui.tui.panes.evidence_items import Entry
from faq_tui.tui.panes.evidence_table import GAP, GROUP, HEADING, TableRow
from faq_tui.tui.panes.evidence_wanted import Wanted
from faq_tui.tui.panes.evidence_words import STYLES

VALUE, INTERVAL, RECOVERED, VERDICT, CHANGE, P = 9, 18, 15, 14, 28, 11
LEAST_NAME, MOST_NAME = 18, 34
ITEM_CELL = 13  # of an item's three models
ITEM_STYLES = {"right": "green", "wrong": "bold red"}
FULL = 108  # columns from which change and p have room


def head(width: int) -> Text:
    """The names of the columns."""
    titles = TableRow("model", "  model", "value", "95% interval", "loss recovered", "verdict", "change", "p")
    line = _cells(titles, width)
    line.stylize("bold")
    return line


def line(row: TableRow, width: int) -> Text:
    if row.kind == GAP:
        return Text("", end="")
    if row.kind in (HEADING, GROUP):
        text = Text(no_wrap=True, end="").append(literal(row.name), "bold" if row.kind == HEADING else "italic")
        text.truncate(width, overflow="ellipsis")
        return text
    return _cells(row, width)


def item_head(wanted: Wanted, width: int) -> Text:
    """What the columns of the items are."""
    return _item_cells(width, ("unquantized", wanted.left, wanted.right), "item", "bold")


def item(found: Found, entry: Entry, width: int) -> Text:
    kind = kind_of(entry.text)
    said = entry.words if kind in LABELLED else f"{found.title(entry.text)}: {entry.words}"
    return _item_cells(width, entry.cells, said)


def _item_cells(width: int, cells: tuple[str, str, str], said: str, style: str = "") -> Text:
    each = ITEM_CELL if width < FULL else 2 * ITEM_CELL
    text = Text(style=style, no_wrap=True, end="")
    for cell in cells:
        # Of a model's name the end tells the set.
        short = literal(cell)
        short = short if len(short) < each else f"…{short[-(each - 2) :]}"
        text.append(_left(short, each), ITEM_STYLES.get(cell, ""))
    text.append(literal(said, 2 * width))
    text.truncate(width, overflow="ellipsis")
    return text


def _cells(row: TableRow, width: int) -> Text:
    full = width >= FULL
    fixed = VALUE + INTERVAL + RECOVERED + VERDICT + 3 + (CHANGE + P if full else 0)
    name = max(LEAST_NAME, min(MOST_NAME, width - fixed))
    text = Text(no_wrap=True, end="")
    text.append(_left(row.name, name))
    text.append(f"{row.value:>{VALUE}}"[:VALUE] + " ")
    text.append(_left(row.interval, INTERVAL), "dim")
    text.append(" " + _left(row.recovered, RECOVERED))
    text.append(_left(row.verdict, VERDICT if full else 0), STYLES.get(row.verdict, ""))
    if full:
        text.append(_left(row.change, CHANGE)).append(_left(row.p, P))
    text.truncate(width, overflow="ellipsis")
    return text


def _left(text: str, width: int) -> str:
    safe = literal(text)
    if not width:
        return safe
    return set_cell_size(safe, width) if len(safe) <= width else f"{set_cell_size(safe, width - 1)}…"
