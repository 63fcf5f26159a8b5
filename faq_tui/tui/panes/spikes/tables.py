"""A table that compares two sets by their metrics, and sentences with more facts about each set."""

from __future__ import annotations

from faq_tui.core.activations.compare import SAME, Compared, SetComparison
from faq_tui.core.activations.view import Overview, covered
from faq_tui.core.base.text import sanitize
from faq_tui.core.chat.token_kinds import KINDS, SINK
from faq_tui.core.plots.cells import line
from faq_tui.core.run.run import Run
from faq_tui.tui.panes.spikes.view_state import SpikesViewState
from faq_tui.tui.widgets.table import Column, filled, head, row

NAMES = {
    "max": "max |x|",
    "crest": "crest",
    "kurtosis": "kurtosis",
    "max_over_median": "max / median",
    "p999_over_median": "p99.9 / median",
    "over_6_sigma": "share over 6 σ",
    "over_20_median": "over 20 medians",
    "top_channel_energy": "top 1% channels",
}
SHARES = ("over_6_sigma", "over_20_median", "top_channel_energy")


def table(comparison: SetComparison, width: int) -> list[str]:
    """A heading and one line per metric: medians over layers, change with its interval, sign test, and verdict."""
    rows, wide = comparison.metrics, width >= 92
    number, gap, change = (10, 2, 21) if wide else (8, 1, 12)
    columns = (
        Column("over all layers", 15),
        Column(comparison.ours, number, right=True, gap=1, cut="middle"),
        Column(comparison.theirs, number, right=True, gap=1, cut="middle"),
        Column("change [95%]", max(change, *(len(_change(metric)) for metric in rows)), gap=gap),
        Column("higher in", 9, gap=1),
        *([Column("p", 7, right=True, gap=1)] if wide else []),
        Column("verdict", gap=1),
    )
    columns = filled(columns, width)
    lines = [line((mark, "bold") for mark in head(columns).plain[:width].rstrip())]
    for metric in rows:
        cells = [
            NAMES[metric.metric],
            _number(metric.metric, metric.ours),
            _number(metric.metric, metric.theirs),
            _change(metric),
            f"{metric.higher} of {metric.layers}",
            *([f"{metric.p:.1g}"] if wide else []),
            metric.verdict,
        ]
        text = row(columns, [(cell, "") for cell in cells]).plain[:width].rstrip()
        lines.append(line((mark, "" if metric.verdict == SAME else "bold") for mark in text))
    return lines


def details(run: Run, seen: Overview, view_state: SpikesViewState, width: int) -> list[str]:
    """Rows of figures about each set.

    The figures are the tokens by kind, the attention sink, the outlier channels that the set covers, and the experts
    that get few tokens.
    """
    rows = []
    driven = covered(run, list(seen.sets), view_state.module_ref)
    for name in view_state.names:
        row = seen.sets[name]
        counts = row.summary["kinds"]
        kinds = ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS if kind != SINK and counts.get(kind))
        parts = [f"{sanitize(name)}: {row.samples} samples, {row.tokens:,} tokens ({kinds})"]
        here = [
            p for p in row.summary["places"] if (p["layer"], p["module"]) == (view_state.layer, view_state.module)
        ]
        sink = here[0]["kinds"].get(SINK) if here else None
        if sink:
            parts.append(f"largest at the first token: {sink['max']:.3g}")
        held = [one for one in row.summary.get("sinks", []) if one["layer"] == view_state.layer]
        if held and held[0]["share"] is not None:
            others = f", {held[0]['massive']} other massive tokens" if held[0]["massive"] else ""
            parts.append(f"first tokens: {held[0]['share']:.0%} of this layer's input{others}")
        if driven.get(name, (0, 0))[1]:
            parts.append("covers {} of this layer's {} outlier channels".format(*driven[name]))
        minimum = run.settings.activations.expert_minimum * row.tokens
        experts = [count for counts in row.summary["experts"].values() for count in counts]
        if experts:
            starved = sum(count < minimum for count in experts)
            parts.append(f"{starved} of {len(experts)} experts get under {minimum / row.tokens:.1%} of the tokens")
        rows += _wrapped(parts, width)
    return rows


def _wrapped(parts: list[str], width: int) -> list[str]:
    rows = [""]
    for part in parts:
        longer = f"{rows[-1]} · {part}" if rows[-1] else part
        if rows[-1] and len(longer) > width:
            rows.append(f"  {part}"[:width])
        else:
            rows[-1] = longer[:width]
    return rows


def _number(metric: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3%}" if metric in SHARES else f"{value:.3g}"


def _change(row: Compared) -> str:
    if row.change.value != row.change.value:
        return "–"
    low, high = row.change.low, row.change.high
    ends = "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
    return f"{row.change.value:.3g}×{ends}" if row.is_ratio else f"{row.change.value:+.2g}{ends}"
