"""Who judged, and how far that can be trusted."""

from __future__ import annotations

from typing import Any

from faq_tui.core.judging.words import in_words
from faq_tui.core.report.escape import escape

ABOUT = {
    "likelihood": "likelihood (how probable the target itself finds an answer)",
    "activation": "activation (the share of the target's outlier channels that an answer drives)",
}


def judge_lines(judge: dict[str, Any]) -> list[str]:
    """Lines of Markdown. `judge` is `run.judge` of the report's document."""
    judging = judge["judging"]
    if judging is None:
        return [f"- **Judge**: {_kind(judge, judge['kind'])}"]
    weights = judging["weights"]
    by = " + ".join(f"{weight:g} × {_kind(judge, kind)}" for kind, weight in weights.items())
    if judging["picks_by"] == "mix":
        by = f"a weighted mix of z-scores within each seed: {by}"
    else:
        by = _kind(judge, judging["picks_by"])
    lines = [f"- **Judge**: {by}"]
    if judging["mode"] is not None:
        lines.append(
            f"  - the LLM's mode: {judging['mode']}; replies kept: {judging['replies']['replies']:,}, "
            f"of which {judging['replies']['unfit']:,} did not fit the schema"
        )
    lines += [f"  - {_column(column)}" for column in judging["columns"]]
    return lines + [f"  - {escape(part)}" for part in in_words(judging)]


def _kind(judge: dict[str, Any], kind: str) -> str:
    return ABOUT.get(kind) or f"{escape(kind)}: {escape(judge['model'])} at {escape(judge['url'])}"


def _column(column: dict[str, Any]) -> str:
    text = f"{column['kind']}: {column['scored']:,} scored, {column['unscored']:,} unscored"
    if column["mean"] is not None:
        text += f", mean {column['mean']:.3f} ({column['low']:.3f} to {column['high']:.3f})"
    if column["length_slope"] is not None:
        text += f"; the effect of length is taken off ({column['length_slope']:+.3f} for each unit of log tokens)"
    return text
