"""A candidate's scores in few words: the numbers, the judge's reason, and what each score is made of."""

from __future__ import annotations

from collections.abc import Sequence

from faq_tui.core.extensions import JUDGES
from faq_tui.core.settings import MIX
from faq_tui.core.store.picks import ScoreRow


def columns_in_words(columns: Sequence[ScoreRow]) -> str:
    """`llm 8.5 · lik -1.02 · act 0.30`: the score of each judge."""
    return " · ".join(f"{JUDGES.get(row.kind).short} {_number(row)}" for row in columns)


def score_in_words(row: ScoreRow | None) -> str:
    """`8 of 10`, or a mean log-probability, which the judge's reason names."""
    if row is None:
        return "no score"
    if row.score is None:
        return "unscored"
    return str(JUDGES.get(row.kind).in_words(row.score)) if row.kind in JUDGES else f"{row.score:.3f}"


def reason_of(row: ScoreRow | None, columns: Sequence[ScoreRow]) -> str:
    """A judge's own explanation if there is one, else the reason of the score that picks."""
    explained = next((c.reason for c in columns if c.reason and JUDGES.get(c.kind).explains), "")
    return explained or (row.reason if row is not None else "")


def parts_of_scores(row: ScoreRow | None, columns: Sequence[ScoreRow]) -> list[str]:
    """A line for each score that has parts."""
    lines = [row.reason] if row is not None and row.kind == MIX and row.reason else []
    for column in columns or ((row,) if row is not None else ()):
        line = str(JUDGES.get(column.kind).parts(column.details)) if column.kind in JUDGES else ""
        if line:
            lines.append(line)
    return lines


def _number(row: ScoreRow) -> str:
    return "unscored" if row.score is None else str(JUDGES.get(row.kind).number(row.score))
