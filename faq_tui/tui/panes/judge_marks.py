"""What a candidate's marks are made of, in few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faq_tui.core.judging.rubric import PARTS
from faq_tui.core.store.judged import ScoreRow

SHORT = {"llm": "llm", "likelihood": "lik", "activation": "act"}


def columns_in_words(columns: Sequence[ScoreRow]) -> str:
    """`llm 8.5 · lik -1.02 · act 0.30`: a mark of each kind."""
    return " · ".join(f"{SHORT.get(row.kind, row.kind)} {_number(row)}" for row in columns)


def reason_of(row: ScoreRow | None, columns: Sequence[ScoreRow]) -> str:
    """A judge's own words where there are any, else how the mark that picks came about."""
    said = next((column.reason for column in columns if column.kind == "llm" and column.reason), "")
    return said or (row.reason if row is not None else "")


def made_of(row: ScoreRow | None, columns: Sequence[ScoreRow]) -> list[str]:
    """A line for each kind of mark that has parts."""
    found = [row.reason] if row is not None and row.kind == "mix" and row.reason else []
    for column in columns or ((row,) if row is not None else ()):
        line = _parts(column.kind, column.details)
        if line:
            found.append(line)
    return found


def _number(row: ScoreRow) -> str:
    if row.score is None:
        return "unscored"
    return f"{row.score:.3g}" if row.kind == "llm" else f"{row.score:.2f}"


def _parts(kind: str, details: dict[str, Any]) -> str:
    match kind:
        case "llm":
            parts = details.get("parts", {})
            return " · ".join(f"{name} {parts[name]:.3g}" for name in PARTS if name in parts)
        case "likelihood":
            spans = ((name, details.get(name)) for name in ("answer", "reasoning"))
            shown = [
                f"{name} {span['mean_logprob']:.2f} over {span['tokens']} tokens" for name, span in spans if span
            ]
            return _with_raw("likelihood", shown, details)
        case "activation" if "outliers" in details:
            shown = [f"{details['covered']} of {details['outliers']} outlier channels"]
            shown += [
                f"{name} {details[name]:.3g}" for name in ("crest", "kurtosis") if details.get(name) is not None
            ]
            return _with_raw("activation", shown, details)
    return ""


def _with_raw(kind: str, shown: list[str], details: dict[str, Any]) -> str:
    if details.get("slope") is not None:
        shown = [*shown, f"{details['raw']:.2f} before length control"]
    return f"{kind}: {', '.join(shown)}" if shown else ""
