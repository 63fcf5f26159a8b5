"""`faq-tui status` for a person."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from faq_tui.core.literal import literal

STYLE = {"done": "green", "running": "cyan", "stale": "yellow", "failed": "red", "interrupted": "yellow"}


def print_status(status: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(
        Text.assemble(("run ", "dim"), literal(status["run"]), ("  target ", "dim"), literal(status["target"]))
    )
    stages = _table("stage", "state", "")
    for stage in status["stages"]:
        state = Text(stage["state"], style=STYLE.get(stage["state"], "dim"))
        stages.add_row(stage["stage"], state, Text(literal(stage["message"])))
    console.print(stages)
    if status["sets"]:
        sets = _table("calibration set", "samples", "tokens")
        for row in status["sets"]:
            sets.add_row(Text(row["name"]), f"{row['samples']:,}", f"{row['tokens']:,}")
        console.print(sets)
    if status["artefacts"]:
        artefacts = _table("quantized model", "bits a weight", "")
        for row in status["artefacts"]:
            same = f"same ids as {row['same_as']}" if row["same_as"] else ""
            artefacts.add_row(Text(row["name"]), f"{row['bits']:.2f}", Text(same, style="dim"))
        console.print(artefacts)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
