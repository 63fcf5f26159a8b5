"""The columns of the list of seeds: which fit into a width, and a row as one line of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from faq_tui.core.base.sanitize import sanitize
from faq_tui.core.store.seed_pages import SeedListRow

GAP = 2
LANGUAGE_FROM, ORIGIN_FROM = 96, 112  # columns of the list; narrower ones leave it to the preview's title
STATE_STYLES = {
    "excluded": "strike",
    "hand-picked": "bold green",
    "picked": "green",
    "rejected": "bold red",
    "none fit": "red",
    "waiting": "yellow",
    "partly": "yellow",
    "not judged": "yellow",
}


@dataclass(frozen=True)
class Column:
    name: str
    width: int
    right: bool = False


@lru_cache(maxsize=4)
def columns(width: int) -> tuple[Column, ...]:
    """Columns that fill `width` cells."""
    fixed = [Column("state", 11), Column("category", 11)]
    after = [Column("length", 12, right=True)]
    if width >= LANGUAGE_FROM:
        fixed.append(Column("language", 8))
    if width >= ORIGIN_FROM:
        after.append(Column("origin", 16 if width < 150 else 32))
    taken = sum(column.width + GAP for column in (*fixed, *after))
    return (*fixed, Column("question", max(10, width - taken)), *after)


def heading(width: int) -> str:
    return (" " * GAP).join(fitted(column.name, column) for column in columns(width))


def line(row: SeedListRow, width: int, tokens: Mapping[str, int], wanted: int) -> list[tuple[str, str]]:
    """(text, style) of the cells; together `width` wide. `tokens`: seed id to the tokens of its baseline sample."""
    cells = {
        "state": f"{row.made} of {wanted}" if row.state == "partly" else row.state,
        "category": row.category,
        "language": row.language,
        "question": " ".join([*(f"#{tag}" for tag in row.tags), row.question]),
        "length": length(row, tokens),
        "origin": row.origin,
    }
    styles = {
        "state": STATE_STYLES.get(row.state, "dim"),
        "question": "dim" if row.state == "excluded" else "",
        "length": "dim",
        "origin": "dim",
    }
    return [(fitted(cells[column.name], column), styles.get(column.name, "")) for column in columns(width)]


def length(row: SeedListRow, tokens: Mapping[str, int]) -> str:
    """Tokens where they are known, characters otherwise; the unit is said."""
    known = tokens.get(row.id)
    return f"{known:,} tokens" if known is not None else f"{row.length:,} chars"


def fitted(text: str, column: Column) -> str:
    """Exactly `column.width` cells of sanitized text; what is cut ends in an ellipsis. Origins keep their end."""
    text = sanitize(text, 4 * column.width if column.name != "origin" else None)
    if cell_len(text) > column.width:
        if column.name == "origin":
            return set_cell_size("…" + text[-(column.width - 1) :], column.width)
        return set_cell_size(text, column.width - 1) + "…"
    padding = " " * (column.width - cell_len(text))
    return padding + text if column.right else text + padding
