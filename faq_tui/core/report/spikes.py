"""The section on activations: spikes on each calibration set, and errors of each quantized model's layers."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from faq_tui.core.activations.sinks import sentence
from faq_tui.core.activations.statistics import METRICS
from faq_tui.core.activations.view import Overview, compare_sets, overview
from faq_tui.core.report.formatting import escape
from faq_tui.core.report.tables import table
from faq_tui.core.run.run import Run
from faq_tui.core.store.activations import all_layer_errors

NAMES = {
    "max": "max",
    "crest": "max / rms",
    "kurtosis": "kurtosis",
    "max_over_median": "max / median",
    "p999_over_median": "p99.9 / median",
    "over_6_sigma": "share over 6σ",
    "over_20_median": "share over 20 medians",
    "top_channel_energy": "energy of the top 1% of channels",
}


SENTENCE = 1000  # longer sentences are cut to this many characters
DRIFT = (
    "The table shows the relative errors of the layers' outputs. They are differences from the unquantized model's "
    "outputs on the same held-out text."
)


def spikes(run: Run) -> dict[str, Any]:
    """The measurements as plain data for report.json. The lists are empty if nothing was measured."""
    seen = overview(run)
    return {
        "sets": [
            {
                "name": row.set_name,
                "samples": row.samples,
                "tokens": row.tokens,
                "kinds": row.summary["kinds"],
                # Older versions did not measure sinks, and the reports of their runs must stay the same.
                **({"sinks": row.summary["sinks"]} if row.summary.get("sinks") else {}),
            }
            for row in seen.sets.values()
        ],
        "comparisons": [
            asdict(compare_sets(seen, ours, theirs, module, run.settings.evaluate.bootstrap))
            for ours, theirs in seen.pairs()
            for module in seen.modules
        ],
        "experts": _experts(run, seen),
        "layer_errors": [
            {
                "artefact": row.subject,
                "text": row.text,
                "tokens": row.tokens,
                "errors": row.errors,
            }
            for row in all_layer_errors(run.store).values()
            if row.subject in seen.errors
        ],
    }


def fingerprint(run: Run) -> Any:
    """A value that changes whenever the section changes."""
    seen = overview(run)
    return [[(name, row.signature) for name, row in seen.sets.items()], sorted(seen.errors.items())]


def _experts(run: Run, seen: Overview) -> list[dict[str, Any]]:
    """For each set, the number of experts and the number of experts that got too few tokens.

    The result is empty for a dense model.
    """
    entries = []
    for row in seen.sets.values():
        counts = [count for layer in row.summary["experts"].values() for count in layer]
        minimum = run.settings.activations.expert_minimum
        if counts:
            starved = sum(count < minimum * row.tokens for count in counts)
            entries.append({"set": row.set_name, "experts": len(counts), "minimum": minimum, "starved": starved})
    return entries


def spike_lines(body: dict[str, Any]) -> list[str]:
    """The section as lines of Markdown. The result is empty if nothing was measured."""
    data = body["spikes"]
    lines: list[str] = []
    if data["comparisons"]:
        lines += [f"- {escape(one['sentence'], SENTENCE)}" for one in data["comparisons"]]
        lines += ["", *table(("set", *NAMES.values()), _rows(data["comparisons"])), ""]
        lines += [
            "Each number is the median over all layers. It describes the inputs of the modules named above, without "
            "the first token of each sample. A higher number means more or larger spikes.",
            "",
        ]
    sinks = [(one["name"], sentence(one.get("sinks", []))) for one in data["sets"]]
    lines += [f"- {escape(name)}: {text}." for name, text in sinks if text]
    lines += [""] if any(text for _, text in sinks) else []
    for one in data["experts"]:
        lines += [
            f"- {escape(one['set'])}: {one['starved']} of {one['experts']} experts received less than "
            f"{one['minimum']:.1%} of the set's tokens.",
            "",
        ]
    if data["layer_errors"]:
        head = ("model", "median", "last layer", "highest")
        lines += ["### Errors of the layers", "", *table(head, _errors(data)), "", DRIFT, ""]
    return ["## Spikes", "", *lines] if lines else []


def _rows(comparisons: list[dict[str, Any]]) -> list[list[str]]:
    rows: dict[tuple[str, str], list[str]] = {}
    several = len({one["module"] for one in comparisons}) > 1
    for one in comparisons:
        for side in ("theirs", "ours"):
            name = f"{one[side]}, {one['module']}" if several else one[side]
            values = {metric["metric"]: metric[side] for metric in one["metrics"]}
            rows[one[side], one["module"]] = [escape(name), *(_number(values[metric]) for metric in METRICS)]
    return list(rows.values())


def _errors(data: dict[str, Any]) -> list[list[str]]:
    rows = []
    for one in data["layer_errors"]:
        # None means that the error is infinite or NaN.
        errors = {layer: error for layer, error in enumerate(one["errors"]) if error is not None}
        if errors:
            highest = max(errors, key=errors.__getitem__)
            middle, last = median(errors.values()), one["errors"][-1]
            worst = f"{_number(errors[highest])} (layer {highest})"
            rows.append([escape(one["artefact"]), _number(middle), _number(last), worst])
        elif one["errors"]:
            rows.append([escape(one["artefact"]), *[_number(None)] * 3])
    return rows


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
