"""The tables: one row a model, then one row a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faq_tui.core.evaluation.metrics import KL, METRICS, PERPLEXITY, TOP1
from faq_tui.core.report import numbers
from faq_tui.core.report.escape import escape

COLUMN = {PERPLEXITY: "PPL", KL: "KL", TOP1: "Top-1"}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """A Markdown table that also reads well as plain text; cells are escaped already."""
    widths = [max(3, *(len(row[column]) for row in (head, *rows))) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (w - 1) if i < left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return [line(head), line(rule), *(line(row) for row in rows)]


def models(body: dict[str, Any]) -> list[str]:
    texts = [text["name"] for text in body["texts"]]
    head = ["Model", "Samples", "Tokens", "Size MB", "Bits"]
    head += [f"{COLUMN[metric]} {escape(text)}" for metric in (PERPLEXITY, KL, TOP1) for text in texts]
    rows = [_model(row, texts) for row in body["models"]]
    return ["## The models", "", *table(head, rows), "", *_legend(body), ""]


def _model(row: dict[str, Any], texts: list[str]) -> list[str]:
    cells = [escape(row["name"]), numbers.count(row["samples"]), numbers.count(row["tokens"])]
    cells += [
        numbers.megabytes(row["bytes"]),
        numbers.MISSING if row["bits"] is None else f"{row['bits']:.4g}",
    ]
    for metric in (PERPLEXITY, KL, TOP1):
        for text in texts:
            found = row["texts"].get(text)
            cells.append(numbers.value(metric, found[metric]["value"]) if found else numbers.MISSING)
    return cells


def _legend(body: dict[str, Any]) -> list[str]:
    shared = [
        f"- {escape(row['name'])} shares the weights of {escape(row['same_as'])}: their sets hold the same token ids."
        for row in body["models"]
        if row["same_as"]
    ]
    return [
        "- **Samples, Tokens**: what the quantizer was calibrated on.",
        "- **Size MB**: the weight files. **Bits**: average bits of a quantized weight, scales included.",
        "- **PPL**: perplexity, how surprised the model is by the text, token by token; lower is better. It "
        "depends on the tokenizer and the window, so compare it only within this table.",
        "- **KL**: how far its predictions are from the unquantized model's, in nats a token; 0 is none.",
        "- **Top-1**: how often it finds the same next token most likely as the unquantized model does.",
        *shared,
    ]


def comparisons(body: dict[str, Any]) -> list[str]:
    rows = [
        _comparison(c, text, metric, outcomes[metric])
        for c in body["comparisons"]
        for text, outcomes in c["texts"].items()
        for metric in METRICS
    ]
    if not rows:
        return []
    head = ["Recipe", "Equal", "Set", "Text", "Metric", "Baseline", "Set's", "Difference, 95% interval"]
    head += ["Loss recovered", "Verdict"]
    return ["## Comparisons with the baseline", "", *table(head, rows, left=5), "", *_notes(body), ""]


def _comparison(c: dict[str, Any], text: str, metric: str, found: dict[str, Any]) -> list[str]:
    difference = found["difference"]
    return [
        *(escape(c["recipe"]), c["equal"], escape(c["source"]), escape(text), numbers.NAMES[metric]),
        *(numbers.value(metric, found["baseline"]), numbers.value(metric, found["ours"])),
        f"{numbers.change(metric, difference['value'])} {numbers.interval(metric, difference)}",
        *(numbers.share(found["recovered"]), found["verdict"]),
    ]


def _notes(body: dict[str, Any]) -> list[str]:
    return [
        f"- Intervals: {body['interval']['resamples']:,} paired bootstrap resamples over items (windows, "
        "answers), 95%. **Within noise**: the interval of the difference holds zero.",
        "- **Loss recovered**: (baseline - set) / (baseline - unquantized); 100% is all that quantization "
        f"lost. {numbers.MISSING} where the baseline lost nothing beyond noise.",
    ]
