"""The list of seeds: its columns, and a widget that reads only the visible rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from rich.style import Style
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from faq_tui.core.store.seed_pages import SeedListRow
from faq_tui.tui.widgets.list import LineList
from faq_tui.tui.widgets.table import Cell, Column, filled, row_strip

GAP = 2
LENGTH_WIDTH = 12  # a longer number is shown in thousands or millions, so that its unit is not cut
# Minimum widths of a line, in cells, for the column language, for the column origin, and for a wider column origin.
LANGUAGE_FROM, ORIGIN_FROM, WIDE_ORIGIN_FROM = 97, 113, 151
LEAST_QUESTION = 10
STATE_STYLES = {
    "excluded": "strike",
    "hand-picked": "bold green",
    "picked": "green",
    "rejected": "bold red",
    "none usable": "red",
    "waiting": "yellow",
    "partly": "yellow",
    "not judged": "yellow",
}
PAGE = 64
MOST_KEPT = 16 * PAGE
Fetch = Callable[[Sequence[int]], dict[int, SeedListRow]]


@lru_cache(maxsize=4)
def columns(width: int) -> tuple[Column, ...]:
    """The columns of the list for lines of `width` cells."""
    fixed = [Column("state", 11, gap=1), Column("category", 11, gap=GAP)]
    after = [Column("length", LENGTH_WIDTH, right=True, gap=GAP)]
    if width >= LANGUAGE_FROM:
        fixed.append(Column("language", 8, gap=GAP))
    if width >= ORIGIN_FROM:
        after.append(Column("origin", 16 if width < WIDE_ORIGIN_FROM else 32, gap=GAP, cut="start"))
    return filled((*fixed, Column("question", gap=GAP), *after), width, LEAST_QUESTION)


def cells(row: SeedListRow, width: int, tokens: Mapping[str, int], candidates: int) -> list[Cell]:
    """The cells of a row in the columns of a list that is `width` cells wide.

    `tokens` maps a seed id to the number of tokens of the seed's baseline sample. `candidates` is the number of
    candidates that each seed should have.
    """
    texts = {
        "state": f"{row.made} of {candidates}" if row.state == "partly" else row.state,
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
    return [(texts[column.name], styles.get(column.name, "")) for column in columns(width)]


def length(row: SeedListRow, tokens: Mapping[str, int]) -> str:
    """The length with its unit. The unit is tokens if their number is known, otherwise characters."""
    known = tokens.get(row.id)
    count, unit = (known, "tokens") if known is not None else (row.length, "chars")
    whole = f"{count:,} {unit}"
    if len(whole) <= LENGTH_WIDTH:
        return whole
    return f"{count / 1e3:,.0f}k {unit}" if count < 1e6 else f"{count / 1e6:,.1f}M {unit}"


class SeedList(LineList):
    """Shows the seeds at `positions` of the seed file.

    The positions are in ascending order. If all seeds are shown, `positions` is a range.
    """

    TO_THE_EDGE = True
    tokens: reactive[Mapping[str, int]] = reactive(dict)  # maps seed ids to known numbers of tokens
    candidates: reactive[int] = reactive(0)  # number of candidates that each seed should have

    class Resized(Message):
        """The list has another size."""

    def __init__(self, fetch: Fetch) -> None:
        super().__init__()
        self._fetch = fetch
        self._rows: dict[int, SeedListRow] = {}  # maps a position to its row
        self.positions: Sequence[int] = range(0)
        self._height = 0  # number of visible rows; a hidden list keeps its last number

    def show(self, positions: Sequence[int], keep: int | None = None) -> None:
        """List the seeds at `positions`. The cursor goes to the position `keep`. If this position is not
        listed, the cursor keeps its index."""
        others = positions is not self.positions and positions != self.positions
        self.positions = positions
        self.count = len(positions)
        index = None if keep is None else _index(positions, keep)
        if index is not None:
            self.cursor = index
        if others:
            self._rows.clear()
            self.refresh()
        else:
            self.reread()

    def grew(self) -> None:
        """Update the list after more seeds were added at the end of `positions`."""
        self.count = len(self.positions)
        self.refresh()

    def reread(self) -> None:
        """Read the visible rows again, and draw the changed rows."""
        before, self._rows = self._rows, {}
        first = self.scroll_offset.y
        for index in range(first, min(first + self._height, self.count)):
            if self.row(index) != before.get(self.positions[index]):
                self.refresh_lines(index)

    def row(self, index: int) -> SeedListRow | None:
        """The row at an index of the list. If the row was not read yet, the whole page around it is read."""
        if not 0 <= index < self.count:
            return None
        position = self.positions[index]
        if position not in self._rows:
            if len(self._rows) > MOST_KEPT:
                self._rows.clear()
            start = index - index % PAGE
            self._rows.update(self._fetch(self.positions[start : start + PAGE]))
        return self._rows.get(position)

    @property
    def selected(self) -> SeedListRow | None:
        return self.row(self.cursor)

    def on_resize(self) -> None:
        self._height = self.size.height
        self.post_message(self.Resized())

    def strip(self, index: int, width: int, base: Style) -> Strip:
        row = self.row(index)
        if row is None:
            return Strip.blank(width, base)
        return row_strip(columns(width), cells(row, width, self.tokens, self.candidates), base)


def _index(positions: Sequence[int], position: int) -> int | None:
    """The index of `position` in the ascending `positions`, or None if `position` is missing."""
    index = bisect_left(positions, position)
    return index if index < len(positions) and positions[index] == position else None
