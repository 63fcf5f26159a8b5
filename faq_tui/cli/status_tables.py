"""The tables of `faq-tui status`: stages, sets, artefacts, benchmarks, and the filled cells of the paper's table."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from faq_tui.core.base.text import sanitize

WIDEST = 10_000  # maximum width of a table in characters
EMPTY = "·"  # the text of a cell that is not measured yet
STYLE = {"done": "green", "running": "cyan", "stale": "yellow", "failed": "red", "interrupted": "yellow"}


class _StatusConsole(Console):
    def on_broken_pipe(self) -> None:
        """The reader of stdout has ended. rich calls this method while it handles the BrokenPipeError."""
        raise  # rich would end the program with exit code 1


def print_status(status: dict[str, Any]) -> None:
    console = _StatusConsole(highlight=False)
    console.print(
        Text.assemble(("run ", "dim"), sanitize(status["run"]), ("  target ", "dim"), sanitize(status["target"]))
    )
    stages = _table("stage", "state", "")
    for stage in status["stages"]:
        state = Text(stage["state"], style=STYLE.get(stage["state"], "dim"))
        stages.add_row(stage["stage"], state, Text(sanitize(stage["message"])))
    console.print(stages)
    for server in status["waiting"]:
        console.print(Text(sanitize(f"waiting for {server['url']} ({server['reason']})"), style="yellow"))
    for source in status["sources"].values():
        if source["to_come"]["candidates"]:
            stale = f" ({source['outdated']:,} from earlier settings are kept)" if source["outdated"] else ""
            console.print(Text(sanitize(source["to_come"]["sentence"] + stale), style="dim"))
    if status["judging"]:
        _print_judging(console, status["judging"])
    if status["sets"]:
        sets = _table("calibration set", "samples", "tokens", "kept", "whole answers", "refused")
        for row in status["sets"]:
            kept = "" if row["kept"] is None else f"{row['kept']:.0%}"
            whole = f"{row['whole_answers']:,} of {row['answered']:,}" if row["answered"] else ""
            refused = ", ".join(f"{count} {sanitize(reason)}" for reason, count in row["refused"].items())
            cells = (f"{row['samples']:,}", f"{row['tokens']:,}", kept, whole, Text(refused, style="dim"))
            sets.add_row(Text(row["name"]), *cells)
        console.print(sets)
    if status["artefacts"]:
        artefacts = _table("quantized model", "bits a weight", "")
        for row in status["artefacts"]:
            same = f"same ids as {row['same_as']}" if row["same_as"] else ""
            artefacts.add_row(Text(row["name"]), f"{row['bits']:.2f}", Text(same, style="dim"))
        console.print(artefacts)
    if status["benchmarks"]:
        _print_benchmarks(console, status["benchmarks"])
    if status["paper"]:
        print_paper(console, status["paper"])


def _print_judging(console: Console, judging: dict[str, Any]) -> None:
    columns = _table("judged by", "scored", "unscored", "mean", "")
    for column in judging["columns"]:
        mean = "" if column["mean"] is None else f"{column['mean']:.3f}"
        picks = Text("picks" if column["picks"] else "", style="dim")
        columns.add_row(Text(column["kind"]), f"{column['scored']:,}", f"{column['unscored']:,}", mean, picks)
    console.print(columns)


def _print_benchmarks(console: Console, rows: list[dict[str, Any]]) -> None:
    done = _table("benchmark", "models done", "")
    for task in dict.fromkeys((row["engine"], row["task"]) for row in rows):
        own = [row for row in rows if (row["engine"], row["task"]) == task]
        why = next((row["message"] for row in own if row["message"]), "")
        count = f"{sum(row['done'] for row in own)} of {len(own)}"
        done.add_row(Text(sanitize(f"{task[1]} ({task[0]})")), count, Text(sanitize(why), style="dim"))
    console.print(done)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_paper(console: Console, paper: dict[str, Any]) -> None:
    """One row per quantized model, one column per metric.

    Each cell shows our value, and in brackets the paper's value.
    """
    cells = paper["cells"]
    filled = f"{paper['filled']} of {len(cells)} cells filled; brackets hold the paper's values"
    head = f"{paper['preset']}, {paper['model']}: {filled}"
    console.print(Text(sanitize(head), style="bold"))
    metrics = list(dict.fromkeys(cell["metric"] for cell in cells))
    for part in _parts(console, cells, metrics):
        console.print(_part(cells, part))


def _parts(console: Console, cells: list[dict[str, Any]], metrics: list[str]) -> list[list[str]]:
    """If one table would be too wide, divide the metrics into several tables with the same rows."""
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
    by_row = {(_row(cell), cell["metric"]): cell for cell in cells}
    for row in dict.fromkeys(_row(cell) for cell in cells):
        texts = [_text(by_row.get((row, metric))) for metric in metrics]
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
