"""Public benchmarks as rows of the table: each task's metric on every model, against its baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faq_tui.core.report.benchmarks import against, is_shown, number
from faq_tui.tui.panes.evidence_found import LoadedEvidence
from faq_tui.tui.panes.evidence_row import EMPTY, GROUP, HEADING, MODEL, TableRow

GOALS = {True: " · higher is better", False: " · lower is better", None: ""}


def benchmark_rows(found: LoadedEvidence) -> Iterator[TableRow]:
    """Nothing where no benchmark is asked for."""
    results = [
        result for result in found.benchmarks.get("results", []) if is_shown(result, found.benchmarks["results"])
    ]
    keys = dict.fromkeys((r["engine"], r["name"], r["metric"], r["filter"]) for r in results)
    for engine, name, metric, how in keys:
        of_task = [
            r for r in results if (r["engine"], r["name"], r["metric"], r["filter"]) == (engine, name, metric, how)
        ]
        first = of_task[0]
        said = f" ({how})" if how not in ("", "none") else ""
        yield TableRow(EMPTY)
        yield TableRow(
            HEADING,
            f"{metric}{said} of {name}{GOALS[first['higher_is_better']]}",
            name,
            detail=f"Measured by {engine} {first['engine_version']}, task version {first['version']}, "
            f"{first['n']:,} items{_answers(first['repeats'])}; shares are of 1, as the program gives them.",
        )
        yield from (_model(result) for result in of_task)
    yield from _missing(found)


def _model(result: dict[str, Any]) -> TableRow:
    difference = result["difference"]
    spread = "" if result["stderr"] is None else f"± {number(result['stderr'])}"
    told = f"{result['subject']}: {number(result['value'])} {spread}".rstrip()
    held = (
        f" Against {difference['to']}: {against(difference)}, on the same items. Below two standard errors it is "
        "noise, and of many such rows some are above by chance."
        if difference
        else ""
    )
    return TableRow(
        MODEL,
        f"  {result['subject']}",
        value=number(result["value"]),
        interval=spread,
        change=against(difference) if difference else "",
        detail=f"{told} (standard error over items).{held}",
    )


def _answers(repeats: int) -> str:
    return f" × {repeats} answers" if repeats > 1 else ""


def _missing(found: LoadedEvidence) -> Iterator[TableRow]:
    missing = found.benchmarks.get("missing", [])
    if missing:
        yield TableRow(EMPTY)
        yield TableRow(GROUP, "Benchmarks that are not measured", detail="r tries them again.")
    for row in missing:
        yield TableRow(
            MODEL, f"  {row['engine']} {row['task']}", value="–", detail=f"{row['subject']}: {row['message']}"
        )
