"""Compare our list and our growing text with Textual's widgets that do the same work, in one app and one process.

    python benchmarks/widgets.py [--rounds N] [--out FILE]

Three durations are measured, each until the screen is drawn. Fill: a list gets N prepared rows of five cells. Move:
one cursor key is pressed. Grow: 20 characters are added to the end of a text of N characters. The terminal has 120×36
cells, and nothing is written to it. Times are CPU times of the process, so that waiting for the next frame does not
count. The widgets take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from machine import about, load, publish, table
from rich.text import Text
from textual.app import App
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import DataTable, OptionList, TextArea

from faq_tui.tui.widgets.flow import FlowView
from faq_tui.tui.widgets.list import LineList
from faq_tui.tui.widgets.table import Column
from faq_tui.tui.widgets.table import row as table_row

SIZES = (100, 2_000, 20_000)
LENGTHS = (2_000, 20_000)
MOVES = 20
DELTA = " and so on, we said."
COLUMNS = [Column(width=20)] * 5
STYLES = ("green", "", "dim", "", "dim")
Row = tuple[str, str, str, str, str]


def rows_of(count: int) -> list[Row]:
    return [
        ("picked", "maths", "en", f"Question number {n} of the seed file", f"{n + 100} chars") for n in range(count)
    ]


def joined(row: Row) -> Text:
    return table_row(COLUMNS, zip(row, STYLES, strict=True))


class OurList(LineList):
    rows: list[Row] = []  # noqa: RUF012

    def line(self, index: int, width: int) -> Text:  # noqa: ARG002
        return joined(self.rows[index])


def our_list(rows: list[Row]) -> Widget:
    made = OurList()
    made.rows, made.count = rows, len(rows)
    return made


def option_list(rows: list[Row]) -> Widget:
    return OptionList(*map(joined, rows))


def data_table(rows: list[Row]) -> Widget:
    made: DataTable[Text] = DataTable(cursor_type="row")
    for column in range(len(rows[0])):
        made.add_column(str(column), width=20)
    made.add_rows([Text(cell, style) for cell, style in zip(row, STYLES, strict=True)] for row in rows)
    return made


def move_ours(widget: Any) -> None:
    widget.move(1)


def move_textuals(widget: Any) -> None:
    widget.action_cursor_down()


def flow(length: int) -> Widget:
    made = FlowView()
    made.show([(text_of(length), "")], at_end=True)
    return made


def text_area(length: int) -> Widget:
    made = TextArea(text_of(length), read_only=True, soft_wrap=True)
    made.move_cursor(made.document.end)
    return made


def text_of(length: int) -> str:
    return (DELTA * (length // len(DELTA) + 1))[:length]


def grow_ours(widget: Any) -> None:
    widget.grow([(DELTA, "")])


def grow_textuals(widget: Any) -> None:
    widget.insert(DELTA, widget.document.end)
    widget.scroll_end(animate=False)


LISTS: dict[str, tuple[Callable[[list[Row]], Widget], Callable[[Any], None]]] = {
    "ours": (our_list, move_ours),
    "OptionList": (option_list, move_textuals),
    "DataTable": (data_table, move_textuals),
}
TEXTS: dict[str, tuple[Callable[[int], Widget], Callable[[Any], None]]] = {
    "ours": (flow, grow_ours),
    "TextArea": (text_area, grow_textuals),
}


async def drawn(pilot: Pilot[None]) -> None:
    """Wait until the screen has drawn what has changed."""
    done = asyncio.Event()
    pilot.app.screen.call_after_refresh(done.set)
    await done.wait()


async def timed(pilot: Pilot[None], make: Callable[[], Widget], change: Callable[[Any], None]) -> tuple[float, float]:
    """CPU seconds for making and drawing the widget, and for drawing one change (the median over MOVES changes)."""
    began = time.process_time()
    widget = make()
    await pilot.app.mount(widget)
    await drawn(pilot)
    fill = time.process_time() - began
    each = []
    for _ in range(MOVES):
        began = time.process_time()
        change(widget)
        await drawn(pilot)
        each.append(time.process_time() - began)
    await widget.remove()
    return fill, statistics.median(each)


async def measured(pilot: Pilot[None], rounds: int) -> Iterator[list[str]]:
    lines = []
    works: list[tuple[str, str, int, dict[str, Any], Callable[[int], Any]]] = [
        *(("list", "fill, move", size, LISTS, rows_of) for size in SIZES),
        *(("text", "show, grow", length, TEXTS, lambda length: length) for length in LENGTHS),
    ]
    for sort, _, size, rivals, data_of in works:
        data, times = data_of(size), {name: ([], []) for name in rivals}  # type: ignore[var-annotated]
        for round_ in range(rounds + 1):
            for name in random.sample(list(rivals), len(rivals)):
                make, change = rivals[name]
                fill, each = await timed(pilot, partial(make, data), change)
                if round_:  # the first round only warms up and is not counted
                    times[name][0].append(fill)
                    times[name][1].append(each)
        fill_ours, each_ours = (statistics.median(values) for values in times["ours"])
        for name, (fills, eaches) in times.items():
            fill, each = statistics.median(fills), statistics.median(eaches)
            unit = "rows" if sort == "list" else "characters"
            ratios = ["", ""] if name == "ours" else [f"{fill / fill_ours:.1f}×", f"{each / each_ours:.1f}×"]
            figures = [f"{1000 * fill:.1f} ms", ratios[0], f"{1000 * each:.2f} ms", ratios[1]]
            lines.append([f"{size:,} {unit}", name, *figures])
    return iter(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    before = load()

    async def run() -> list[list[str]]:
        async with App[None]().run_test(size=(120, 36)) as pilot:
            return list(await measured(pilot, arguments.rounds))

    work: Awaitable[list[list[str]]] = run()
    head = ("work", "widget", "fill", "to ours", "move or grow", "to ours")
    body = table(head, asyncio.run(work))  # type: ignore[arg-type]
    note = (
        f"\n\nCPU time, medians of {arguments.rounds} rounds. The widgets take turns in each round. "
        f"In a round, the cursor moves {MOVES} times, or 20 characters are added {MOVES} times. "
        "A ratio above 1 means that Textual's widget takes longer. "
        "Our list makes a line only when this line is drawn, as in the app. Textual's lists first make every line. "
        f"Load of the machine: {before:.1f} before, {load():.1f} after."
    )
    publish(
        "Lists and growing texts: our widgets and Textual's", about("textual", "rich"), body + note, arguments.out
    )


if __name__ == "__main__":
    main()
