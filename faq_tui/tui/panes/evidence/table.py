"""The rows of the table: first the models and comparisons for each metric, then the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from faq_tui.core.evidence import Comparison, Evidence, MetricOutcome, ModelRow
from faq_tui.core.extensions import METRICS
from faq_tui.core.report import formatting
from faq_tui.core.report.benchmarks import against, is_shown, number
from faq_tui.core.stats.bootstrap import Estimate
from faq_tui.tui.live import with_time
from faq_tui.tui.panes.evidence import words
from faq_tui.tui.panes.evidence.data import BOTH, EQUALS, EvidenceViewState, LoadedEvidence

HEADING, GROUP, MODEL, EMPTY = "heading", "group", "model", "empty"
GOALS = {True: " · higher is better", False: " · lower is better", None: ""}


@dataclass(frozen=True)
class TableRow:
    """A row of text cells. `detail` explains the row when it is selected."""

    kind: str
    name: str = ""
    title: str = ""  # the part of `name` that is cut if a heading is too long
    value: str = ""
    interval: str = ""
    recovered: str = ""
    verdict: str = ""
    change: str = ""
    p: str = ""
    detail: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        return self.name, self.value, self.interval, self.recovered, self.verdict, self.change, self.p


def benchmark_rows(loaded: LoadedEvidence, when: str) -> Iterator[TableRow]:
    """The rows of the benchmarks. There are no rows if the settings have no benchmarks.

    `when` says when the stage evaluate runs (`LiveState.when`).
    """
    results = [
        result for result in loaded.benchmarks.get("results", []) if is_shown(result, loaded.benchmarks["results"])
    ]
    keys = dict.fromkeys((r["engine"], r["name"], r["metric"], r["filter"]) for r in results)
    for engine, name, metric, how in keys:
        of_task = [
            r for r in results if (r["engine"], r["name"], r["metric"], r["filter"]) == (engine, name, metric, how)
        ]
        first = of_task[0]
        suffix = f" ({how})" if how not in ("", "none") else ""
        yield TableRow(EMPTY)
        yield TableRow(
            HEADING,
            f"{metric}{suffix} of {name}{GOALS[first['higher_is_better']]}",
            name,
            detail=f"Measured by {engine} {first['engine_version']}, task version {first['version']}, "
            f"{first['n']:,} items{_answers(first['repeats'])}; shares are fractions of 1, not percent.",
        )
        yield from (_model(result) for result in of_task)
    yield from _missing(loaded, when)


def _model(result: dict[str, Any]) -> TableRow:
    difference = result["difference"]
    spread = "" if result["stderr"] is None else f"± {number(result['stderr'])}"
    score = f"{result['subject']}: {number(result['value'])} {spread}".rstrip()
    held = (
        f" Against {difference['to']}: {against(difference)}, on the same items. A difference below two standard "
        f"errors is within noise. Among many rows, some show larger differences by chance."
        if difference
        else ""
    )
    return TableRow(
        MODEL,
        f"  {result['subject']}",
        value=number(result["value"]),
        interval=spread,
        change=against(difference) if difference else "",
        detail=f"{score} (standard error over items).{held}",
    )


def _answers(repeats: int) -> str:
    return f" × {repeats} answers" if repeats > 1 else ""


def _missing(loaded: LoadedEvidence, when: str) -> Iterator[TableRow]:
    missing = loaded.benchmarks.get("missing", [])
    if missing:
        yield TableRow(EMPTY)
        detail = with_time("The stage evaluate tries to measure them again", when)
        yield TableRow(GROUP, "Benchmarks that are not measured", detail=detail)
    for row in missing:
        yield TableRow(
            MODEL, f"  {row['engine']} {row['task']}", value="–", detail=f"{row['subject']}: {row['message']}"
        )


def rows(loaded: LoadedEvidence, view_state: EvidenceViewState, when: str) -> list[TableRow]:
    """All rows of the table. There are no rows if there is no evidence."""
    evidence = loaded.evidence
    if evidence is None:
        return []
    out: list[TableRow] = []
    for text in evidence.texts:
        metrics = evidence.metrics(text.name)
        for metric in metrics if view_state.every else metrics[:1]:
            out += [TableRow(EMPTY)] if out else []
            out += _section(loaded, evidence, text.name, metric, view_state.match)
    return [*out, *benchmark_rows(loaded, when)]


def _section(loaded: LoadedEvidence, evidence: Evidence, text: str, metric: str, match: str) -> Iterator[TableRow]:
    head = words.heading(metric, loaded.title(text), loaded.window(text))
    about = [f"{_upper(line)}." for line in filter(None, [loaded.about.get(text)])]
    yield TableRow(
        HEADING,
        head,
        words.short_title(metric, loaded.title(text)),
        detail="\n".join([METRICS.get(metric).help, *about]),
    )
    yield _unquantized(evidence, text, metric)
    compared: set[str] = set()
    for equal in EQUALS:
        of_kind = [c for c in evidence.comparisons if c.equal == equal and metric in c.texts.get(text, {})]
        for recipe in dict.fromkeys(c.recipe for c in of_kind):
            group = [c for c in of_kind if c.recipe == recipe]
            compared |= {name for c in group if c.draws == 1 for name in (c.ours, c.baseline)}
            if match in (BOTH, equal):
                yield TableRow(GROUP, f"  {recipe}, equal {equal}", detail=_sizes(group))
                yield from _group(evidence, group, text, metric)
    rest = [row for row in evidence.rows[1:] if row.name not in compared and text in row.texts]
    if match != BOTH:
        return
    listed = any(text in c.texts for c in evidence.comparisons)
    what = "further sets and single draws" if listed else "not compared"
    for name in dict.fromkeys(row.recipe for row in rest):
        detail = "Each model has an interval, but is not compared with another model."
        yield TableRow(GROUP, f"  {name}, {what}", detail=detail)
        yield from (_alone(row, text, metric, "    ") for row in rest if row.recipe == name)


def _group(evidence: Evidence, group: list[Comparison], text: str, metric: str) -> Iterator[TableRow]:
    by_name = {row.name: row for row in evidence.rows}
    listed: set[tuple[str, str]] = set()
    for c in group:
        outcome = c.texts[text][metric]
        for name, estimate in ((c.baseline, outcome.baseline), (c.ours, outcome.ours)):
            row = by_name.get(name)
            if row is None:
                continue
            alone = _alone(row, text, metric, "    ") if c.draws == 1 else _mean(row, c.draws, metric, estimate)
            if (name, alone.value) in listed:
                continue
            listed.add((name, alone.value))
            yield _compared(alone, row, c, outcome, metric, by_name[c.baseline]) if name == c.ours else alone


def _unquantized(evidence: Evidence, text: str, metric: str) -> TableRow:
    row = _alone(evidence.rows[0], text, metric, "  ")
    return replace(row, detail=f"{row.detail} All models are measured in {evidence.dtype} on {evidence.device}.")


def _alone(row: ModelRow, text: str, metric: str, indent: str) -> TableRow:
    estimate = row.texts.get(text, {}).get(metric)
    name = row.set_name if row.set_name and len(indent) > 2 else row.name
    value, interval = _estimate(metric, estimate)
    return TableRow(MODEL, indent + name, value=value, interval=interval, detail=_about(row))


def _mean(row: ModelRow, draws: int, metric: str, number: float) -> TableRow:
    """The table row with the mean over several draws of a set. `row` is the artefact of the first draw."""
    return TableRow(
        MODEL,
        f"    {row.set_name or row.name}",
        value=words.value(metric, number),
        interval=f"mean of {draws} draws",
        detail=f"The mean over {draws} draws of the set; each draw was quantized and measured. The rows below "
        f"show each draw with its interval.",
    )


def _compared(
    alone: TableRow, row: ModelRow, c: Comparison, outcome: MetricOutcome, metric: str, base: ModelRow
) -> TableRow:
    """Return the table row `alone` of one model, extended by its comparison with another model.

    `row` is the model of a source's set, and `base` is the model of the baseline.
    """
    recovered = words.share(outcome.recovered)
    p = formatting.probability(outcome.p_adjusted)
    ours, theirs = row.set_name or row.name, base.set_name or base.name
    draws = f", over {c.draws} draws" if c.draws > 1 else ""
    change = words.change(metric, outcome.difference)
    detail = (
        f"{c.recipe}, {ours} against {theirs} at equal {c.equal}{draws}: "
        f"{change}, corrected p {p}, loss recovered {recovered or formatting.MISSING}.\n"
        f"{_upper(words.verdict_detail(outcome.verdict))}."
    )
    return replace(
        alone,
        recovered=recovered or ("" if c.same else formatting.MISSING),
        verdict=outcome.verdict,
        change="" if c.same else change,
        p="" if c.same else p,
        detail=detail,
    )


def _estimate(metric: str, estimate: Estimate | None) -> tuple[str, str]:
    if estimate is None:
        return "not yet", ""
    return words.value(metric, estimate.value), words.ends(metric, estimate)


def _sizes(group: list[Comparison]) -> str:
    sizes: dict[str, str] = {}
    for c in group:
        mean = f" (mean of {c.draws} draws)" if c.draws > 1 else ""
        sizes.setdefault(c.baseline, f"{c.baseline_samples:,} samples, {c.baseline_tokens:,} tokens{mean}")
        sizes.setdefault(c.ours, f"{c.our_samples:,} samples, {c.our_tokens:,} tokens{mean}")
    return "Calibrated on: " + "; ".join(
        f"{name.removeprefix(group[0].recipe + '-')}: {size}" for name, size in sizes.items()
    )


def _about(row: ModelRow) -> str:
    if row.set_name is None:
        return "The model before quantization. All other models are compared with it."
    bits = f", {row.bits:.4g} bits a weight" if row.bits else ""
    size = f", {formatting.megabytes(row.bytes)} MB" if row.bytes else ""
    same = f" Same weights as {row.same_as}." if row.same_as else ""
    return (
        f"{row.name}: calibrated on {formatting.count(row.samples)} samples, {formatting.count(row.tokens)} tokens"
        f"{bits}{size}.{same}"
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def as_text(loaded: LoadedEvidence, view_state: EvidenceViewState, when: str) -> str:
    """The table for the clipboard: one line per row, with tabs between the cells."""
    head = "model\tvalue\tinterval 95%\tloss recovered\tverdict\tchange [95%]\tcorrected p"
    return "\n".join([head, *("\t".join(row.cells).rstrip() for row in rows(loaded, view_state, when))])
