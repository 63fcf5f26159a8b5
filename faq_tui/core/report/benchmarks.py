"""The section on public benchmarks.

The section shows each metric with its standard error, and says why a result is missing.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from faq_tui.core.benchmarking.evalscope import standard_error
from faq_tui.core.benchmarking.plan import current_results, missing
from faq_tui.core.evaluation.identity import wanted_artefacts
from faq_tui.core.report.formatting import MISSING, escape
from faq_tui.core.report.tables import table
from faq_tui.core.run.run import Run
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.settings.sets import draw_name
from faq_tui.core.store.benchmarks import Key, Result, all_problems

HIDDEN = {"items", "signature"}  # `items` is too long for a table, and `signature` has no meaning for a reader
NOT_YET = "not run yet"
ROUNDED = 1e-4  # evalscope rounds values to four decimals


def benchmarks(run: Run) -> dict[str, Any]:
    """The benchmarks as plain data.

    `results` lists the results: the fields of each `Result` and its difference from the baseline. `missing` lists the
    requests without a result, and the reasons.
    """
    results, problems = current_results(run), all_problems(run.store)
    by_place = {_place(result, result.subject): result for result in results}
    baselines = _baselines(run)
    return {
        "results": [
            {
                **{name: value for name, value in asdict(result).items() if name not in HIDDEN},
                "difference": _difference(result, by_place.get(_place(result, baselines.get(result.subject, "")))),
            }
            for result in results
        ],
        "missing": [
            {"subject": r.subject, "engine": r.engine, "task": r.task, "message": problems.get(r.key, NOT_YET)}
            for r in missing(run)
        ],
    }


def fingerprint(run: Run) -> Any:
    """A value that changes if the content of the section changes."""
    results = [(result.key, result.name, result.metric, result.value) for result in current_results(run)]
    return [results, sorted(problem for problem in all_problems(run.store).items())]


def section(body: dict[str, Any]) -> list[str]:
    """The section as lines of Markdown.

    The result is empty if no benchmark is requested. `body` is the whole document.
    """
    data = body["benchmarks"]
    if not data["results"] and not data["missing"]:
        return []
    lines = ["## Benchmarks", ""]
    if data["results"]:
        head = ["Task", "Metric", "Model", "Value", "Std. error", "Against baseline", "Items", "Few-shot"]
        rows = [_row(result) for result in data["results"] if is_shown(result, data["results"])]
        lines += [*table(head, rows, left=3), "", *_notes(data["results"]), ""]
    if data["missing"]:
        lines += ["Not measured:", "", *_missing(data["missing"]), ""]
    return lines


def _place(result: Result, subject: str) -> tuple[str, ...]:
    return subject, result.engine, result.task, result.name, result.metric, result.filter


def _baselines(run: Run) -> dict[str, str]:
    """Maps the folder of each artefact to the folder of its baseline.

    An artefact and its baseline have the same recipe and the same draw. If the artefact's set was cut to an equal
    number of tokens, the baseline's set was cut, too.
    """
    made = {artefact.name: artefact.folder for artefact in wanted_artefacts(run)}
    baselines: dict[str, str] = {}
    for recipe in run.settings.recipes:
        for name in run.settings.set_names():
            base = f"{BASELINE}{TOKENS_SUFFIX}" if name.endswith(TOKENS_SUFFIX) else BASELINE
            for draw in range(1, run.settings.evaluate.repeats + 1):
                ours, theirs = (made.get(recipe.folder(draw_name(one, draw))) for one in (name, base))
                if ours and theirs and ours != theirs:
                    baselines[ours] = theirs
    return baselines


def _difference(ours: Result, baseline: Result | None) -> dict[str, Any] | None:
    """Our value minus the baseline's value, and the standard error of this difference.

    The standard error is computed from the difference at each item. Both models answered the same items, so the
    difficulty of an item cancels out (Miller 2024, arXiv 2411.00640, section 4.2). This works only if the value is
    the mean over the items, or the perplexity of the items' log-likelihoods. For other values, returns None.
    """
    if baseline is None or ours.items is None or baseline.items is None or len(ours.items) != len(baseline.items):
        return None
    mine, theirs = _of_items(ours), _of_items(baseline)
    if mine is None or theirs is None:
        return None
    (one, slope), (other, other_slope) = mine, theirs
    each = [slope * a - other_slope * b for a, b in zip(ours.items, baseline.items, strict=True)]
    return {"to": baseline.subject, "value": one - other, "stderr": standard_error(each)}


def _of_items(result: Result) -> tuple[float, float] | None:
    """Returns f(m) and its derivative f'(m), for the delta method.

    m is the mean over the items, and f(m) is the result's value: either m, or a perplexity exp(-m) if the items are
    log-likelihoods. Returns None for any other value.
    """
    if not result.items or result.value is None:
        return None
    mean = sum(result.items) / len(result.items)
    if math.isclose(mean, result.value, rel_tol=1e-6, abs_tol=ROUNDED):
        return mean, 1.0
    if mean <= 0 and math.isclose(-mean, math.log(max(result.value, 1.0)), rel_tol=1e-6):
        return result.value, -result.value
    return None


def is_shown(result: dict[str, Any], results: list[dict[str, Any]]) -> bool:
    """True if the Markdown shows the row.

    If a task has an overall result, the Markdown shows only this result. Otherwise the Markdown shows the results of
    the task's parts. The file report.json holds all rows.
    """
    whole = any(other["task"] == other["name"] == result["task"] for other in results)
    return result["name"] == result["task"] or not whole


def _row(result: dict[str, Any]) -> list[str]:
    how = f" ({result['filter']})" if result["filter"] not in ("", "none") else ""
    items = f"{result['n']:,}" + (f" × {result['repeats']}" if result["repeats"] > 1 else "")
    shots = MISSING if result["num_fewshot"] is None else str(result["num_fewshot"])
    return [
        escape(result["name"]),
        escape(result["metric"] + how),
        escape(result["subject"]),
        *(number(result["value"]), number(result["stderr"]), against(result["difference"])),
        *(items, shots),
    ]


def number(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def against(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return MISSING
    spread = f" ± {difference['stderr']:.4f}" if difference["stderr"] is not None else ""
    return f"{difference['value']:+.4f}{spread}"


def _notes(results: list[dict[str, Any]]) -> list[str]:
    engines = sorted({f"{result['engine']} {result['engine_version']}" for result in results})
    return [
        f"- Measured by {escape(', '.join(engines))}. The version of each task is in report.json. "
        "An accuracy lies between 0 and 1.",
        f"- **Std. error**: the standard error over a task's items; {MISSING} means that it is unknown. **Against "
        "baseline**: the difference from the baseline on the same items, ± the standard error of the difference. A "
        "difference of less than two standard errors is within noise. If a table has many rows, chance alone causes "
        "a few larger differences.",
    ]


def _missing(rows: list[dict[str, Any]]) -> list[str]:
    by_reason: dict[str, list[Key]] = {}
    for row in rows:
        by_reason.setdefault(row["message"], []).append((row["subject"], row["engine"], row["task"]))
    return [
        f"- {', '.join(dict.fromkeys(escape(task) for _, _, task in keys))} on "
        f"{', '.join(dict.fromkeys(escape(subject) for subject, _, _ in keys))}: {escape(message)}"
        for message, keys in by_reason.items()
    ]
