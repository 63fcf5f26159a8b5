"""The paper's table as far as a run has filled it, for `faq-tui status`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from faq_tui.core.base.sanitize import sanitize

WIDEST = 10_000  # cells: as wide as it wants to be
EMPTY = "·"  # nobody has measured it yet


def print_paper(console: Console, paper: dict[str, Any]) -> None:
    """One row a quantized model, one column a metric: ours, and the paper's in brackets."""
    cells = paper["cells"]
    head = f"{paper['preset']}, {paper['model']}: {paper['filled']} of {len(cells)} cells filled (the paper's value)"
    console.print(Text(sanitize(head), style="bold"))
    metrics = list(dict.fromkeys(cell["metric"] for cell in cells))
    for part in _parts(console, cells, metrics):
        console.print(_part(cells, part))


def _parts(console: Console, cells: list[dict[str, Any]], metrics: list[str]) -> list[list[str]]:
    """The columns that have room side by side; further ones stand below, under the same rows."""
    parts: list[list[str]] = [[]]
    for metric in metrics:
        longer = [*parts[-1], metric]
        wide = Measurement.get(console, console.options.update(max_width=WIDEST), _part(cells, longer)).maximum
        if parts[-1] and wide > console.width:
            parts.append([metric])
        else:
            parts[-1] = longer
    return parts


def _part(cells: list[dict[str, Any]], metrics: list[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("quantized", "on", *metrics):
        table.add_column(column, overflow="fold")
    by_place = {(_row(cell), cell["metric"]): cell for cell in cells}
    for row in dict.fromkeys(_row(cell) for cell in cells):
        texts = [_text(by_place.get((row, metric))) for metric in metrics]
        bits, method, calibration = row
        name = bits if method == "-" else f"{method} {bits}"
        table.add_row(name, "" if calibration == "none" else calibration, *texts)
    return table


def _row(cell: dict[str, Any]) -> tuple[str, str, str]:
    return cell["bits"], cell["method"], cell["calibration"]


def _text(cell: dict[str, Any] | None) -> Text:
    if cell is None:
        return Text("")
    if cell["ours"] is None:
        return Text.assemble((f"{EMPTY} ({cell['paper']:g})", "dim"))
    return Text.assemble((f"{cell['ours']:.2f}", "green"), (f" ({cell['paper']:g})", "dim"))
