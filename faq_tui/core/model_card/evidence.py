"""The section of a card with the results of one artefact. All numbers and verdicts come from the report."""

from __future__ import annotations

from typing import Any

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.report import formatting
from faq_tui.core.report.answer import CAVEAT, covered, in_short
from faq_tui.core.report.formatting import escape
from faq_tui.core.report.tables import comparisons, table
from faq_tui.core.settings.sets import plain_name
from faq_tui.core.store.artefacts import Artefact

HEADING = "## Evidence"
NOTHING = (
    "No evidence exists yet: this model was not measured. After `faq-tui run` has measured it, faq-tui writes this "
    "card again."
)
ALONE = "This model was measured, but it was not compared with a model that was calibrated on other data."
AS_BASELINE = (
    "This model was calibrated on the data that other data are compared with. The table shows how the other "
    "models of the run differ from it."
)


def evidence_lines(body: dict[str, Any] | None, artefact: Artefact) -> list[str]:
    """The section as lines of Markdown. `body` is the report's document; None if nothing is measured."""
    row = None if body is None else next((row for row in body["models"] if row["name"] == artefact.name), None)
    if body is None or row is None or not row["texts"]:
        return [HEADING, "", NOTHING, ""]
    ours, others = _comparisons(body, artefact)
    about = {**body, "comparisons": ours or others}
    lines = [HEADING, ""]
    lines += [f"> **Out of date**: {body['outdated']}.", ""] if body["outdated"] else []
    lines += in_short(about) if ours else [AS_BASELINE if others else ALONE, ""]
    sources = {comparison["source"] for comparison in ours}
    lines += [f"> **{escape(n['source'])}**: {n['message']}.\n" for n in body["notices"] if n["source"] in sources]
    lines += _closeness(body, row)
    if about["comparisons"]:
        lines += [line.replace("## ", "### ", 1) if line.startswith("## ") else line for line in comparisons(about)]
        draws = min(comparison["draws"] for comparison in about["comparisons"])
        lines += [CAVEAT if draws == 1 else covered(about), ""]
    return [*lines, f"Measured: {body['measured']}, with faq-tui {escape(body['faq_tui'])}.", ""]


def _comparisons(body: dict[str, Any], artefact: Artefact) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The comparisons of this artefact with a baseline, and those in which it is the baseline.

    A comparison over several draws has the names of the first draw.
    """
    first = f"{artefact.name.removesuffix(artefact.set_name)}{plain_name(artefact.set_name)}"
    names = {artefact.name, first}
    ours = [comparison for comparison in body["comparisons"] if comparison["ours"] in names]
    return ours, [comparison for comparison in body["comparisons"] if comparison["baseline"] in names]


def _closeness(body: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """The table of this model's own results beside those of the unquantized model."""
    before: dict[str, Any] = next((one["texts"] for one in body["models"] if one["name"] == UNQUANTIZED), {})
    rows = [
        [
            escape(text["title"]),
            formatting.metric_title(metric),
            formatting.value(metric, before[text["name"]][metric]["value"]) if _has(before, text, metric) else "–",
            _with_interval(metric, row["texts"][text["name"]][metric]),
        ]
        for text in body["texts"]
        for metric in text["metrics"]
        if _has(row["texts"], text, metric)
    ]
    head = ["Text", "Metric", "Unquantized", "This model, 95% interval"]
    return ["### This model beside the unquantized model", "", *table(head, rows, left=2), ""]


def _has(texts: dict[str, Any], text: dict[str, Any], metric: str) -> bool:
    return metric in texts.get(text["name"], {})


def _with_interval(metric: str, estimate: dict[str, Any]) -> str:
    shown = formatting.value(metric, estimate["value"])
    if estimate["low"] is None or estimate["high"] is None:
        return shown
    return f"{shown} [{formatting.value(metric, estimate['low'])}, {formatting.value(metric, estimate['high'])}]"
