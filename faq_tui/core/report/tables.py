"""Two large tables: one row per model, and one row for each metric of each comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faq_tui.core.evaluation.metrics import Metric, all_metrics
from faq_tui.core.report import formatting
from faq_tui.core.report.answer import by_pair, compared_sets
from faq_tui.core.report.formatting import escape


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """A Markdown table with aligned columns. The caller must escape the cells."""
    widths = [max(3, *(len(row[column]) for row in (head, *rows))) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (w - 1) if i < left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return [line(head), line(rule), *(line(row) for row in rows)]


def models(body: dict[str, Any]) -> list[str]:
    """The table of models as lines of Markdown.

    A metric without a heading has no column in this table, but report.json has all metrics.
    """
    columns = [
        (metric.name, text["name"], f"{escape(metric.heading)} {escape(text['title'])}")
        for metric in _headed()
        for text in body["texts"]
        if metric.name in text["metrics"] and text["kind"] in (metric.heading_kinds or metric.kinds)
    ]
    head = ["Model", "Samples", "Tokens", "Size MB", "Bits", *(heading for _, _, heading in columns)]
    rows = [_model(row, columns) for row in body["models"]]
    return ["## The models", "", *table(head, rows), "", *_legend(body, {metric for metric, _, _ in columns}), ""]


def _model(row: dict[str, Any], columns: list[tuple[str, str, str]]) -> list[str]:
    cells = [escape(row["name"]), formatting.count(row["samples"]), formatting.count(row["tokens"])]
    cells += [
        formatting.megabytes(row["bytes"]),
        formatting.MISSING if row["bits"] is None else f"{row['bits']:.4g}",
    ]
    for metric, text, _ in columns:
        estimate = row["texts"].get(text, {}).get(metric)
        cells.append(formatting.value(metric, estimate["value"]) if estimate else formatting.MISSING)
    return cells


def _headed() -> list[Metric]:
    """The metrics that have a column in the table of models, in the order of the columns."""
    return sorted((metric for metric in all_metrics() if metric.heading), key=lambda metric: metric.heading_rank)


def _legend(body: dict[str, Any], shown: set[str]) -> list[str]:
    shared = [
        f"- {escape(row['name'])} shares the weights of {escape(row['same_as'])}: their sets have the same token ids."
        for row in body["models"]
        if row["same_as"]
    ]
    return [
        "- **Samples, Tokens**: the size of the calibration set.",
        "- **Size MB**: the size of the weight files. **Bits**: average bits per weight, including scales.",
        *(metric.legend_line() for metric in _headed() if metric.name in shown),
        *shared,
    ]


def comparisons(body: dict[str, Any]) -> list[str]:
    texts = {text["name"]: text for text in body["texts"]}
    rows = [
        _comparison(c, texts[text]["title"], metric, outcomes[metric])
        for c in by_pair(body)
        for text, outcomes in c["texts"].items()
        for metric in texts[text]["metrics"]
        if metric in outcomes
    ]
    if not rows:
        return []
    head = ["Recipe", "Equal", "Set", "Text", "Metric", "Verdict", "Baseline", "Set's", "Difference, 95% interval"]
    head += ["Loss recovered", "p"]
    return ["## Comparisons with the baseline", "", *table(head, rows, left=6), "", *_notes(body), ""]


def _comparison(c: dict[str, Any], text: str, metric: str, outcome: dict[str, Any]) -> list[str]:
    difference = outcome["difference"]
    return [
        *(escape(c["recipe"]), c["equal"], escape(compared_sets(c)), escape(text), formatting.metric_title(metric)),
        *(
            outcome["verdict"],
            formatting.value(metric, outcome["baseline"]),
            formatting.value(metric, outcome["ours"]),
        ),
        f"{formatting.change(metric, difference['value'])} {formatting.interval(metric, difference)}",
        *(formatting.share(outcome["recovered"]), formatting.probability(outcome["p_adjusted"])),
    ]


def _notes(body: dict[str, Any]) -> list[str]:
    draws = max(c["draws"] for c in body["comparisons"])
    over = f"{draws} draws of the calibration set, and over the items of each draw" if draws > 1 else "items"
    return [
        f"- **95% interval**: computed from {body['interval']['resamples']:,} paired bootstrap resamples over {over} "
        "(windows, answers, questions). **Within noise**: the interval of the difference includes zero.",
        "- **p**: the probability that chance alone gives a difference at least this large, adjusted for all "
        f"{body['interval']['comparisons']} comparisons of this report (Benjamini and Hochberg). On "
        "average, chance explains at most about 5% of the results that are called better or worse. Metrics of "
        "single tokens (such as the 99th percentile of KL) are adjusted separately. **Leans**: the "
        "interval excludes zero, but p is above 0.05 after the adjustment.",
        "- **Loss recovered**: (baseline - set) / (baseline - unquantized); 100% means that the set "
        f"recovers the whole loss; {formatting.MISSING} means that the baseline's loss is within noise.",
    ]
