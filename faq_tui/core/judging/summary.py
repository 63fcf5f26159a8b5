"""Summarize the judging: the scores of every judge, and further facts that some judges report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, overload

from faq_tui.core.extensions import JUDGES
from faq_tui.core.judging.identity import column_id, judge_id, judge_named, score_summary, shown_id, usable_groups
from faq_tui.core.regenerating.candidate_requests import layout_state
from faq_tui.core.run.remembered import remembered
from faq_tui.core.run.run import Run
from faq_tui.core.store import picks as rows
from faq_tui.core.store.judged import SCORED

FACTS = ("mode", "replies", "orders", "probe")  # facts that only some judges have


def judging_of(run: Run) -> dict[str, Any]:
    """A summary of the judging of `run`, as values that JSON can hold.

    FACTS names facts that only some judges report. A fact that no judge has reported is null.
    """
    judge = run.settings.judge
    kinds = judge.kinds()
    groups = _Groups(lambda: usable_groups(run))
    facts: dict[str, Any] = dict.fromkeys(FACTS)
    for kind in kinds:
        details = judge_named(kind).facts(run, groups)
        facts |= {name: details[name] for name in FACTS if details.get(name) is not None}
    return {
        "picks_by": judge.picks_by,
        "weights": judge.weights(),
        "judge": judge_id(run),
        "columns": [_column(run, kind, groups) for kind in kinds],
        **facts,
    }


class _Groups(Sequence[list[int]]):
    """A list that is read from the database when it is needed for the first time."""

    def __init__(self, read: Callable[[], list[list[int]]]) -> None:
        self._read = cache(read)

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._read())

    @overload
    def __getitem__(self, at: int) -> list[int]: ...
    @overload
    def __getitem__(self, at: slice) -> list[list[int]]: ...
    def __getitem__(self, at: int | slice) -> list[int] | list[list[int]]:
        return self._read()[at]


def _column(run: Run, kind: str, groups: Sequence[Sequence[int]]) -> dict[str, Any]:
    """A summary of one judge's scores of the run's present candidates."""
    identity, shown = column_id(run, kind), shown_id(run, kind)
    inputs = [identity, shown, layout_state(run)]
    scores = remembered(run, f"scores {kind}", SCORED, inputs, lambda: _scores(run, identity, shown, groups))
    return {
        "kind": kind,
        "judge": identity,
        **{name: scores[name] for name in ("scored", "unscored", "mean", "low", "high")},
        "length_control": shown != identity,
        "length_slope": scores["length_slope"],
        "picks": kind in run.settings.judge.weights(),
    }


def _scores(run: Run, identity: str, shown: str, groups: Sequence[Sequence[int]]) -> dict[str, Any]:
    scores = score_summary(run, identity)
    slope = _slope(run, shown, groups) if shown != identity else None
    return {
        **vars(scores),
        "mean": None if scores.mean is None else round(scores.mean, 6),
        "length_slope": slope,
    }


def _slope(run: Run, shown: str, groups: Sequence[Sequence[int]]) -> float | None:
    """The slope of the length control. It is stored with each score."""
    ours = {candidate_id for group in groups for candidate_id in group}
    details = rows.each_details(run.store, shown)
    return next((d["slope"] for i, d in details if i in ours and d.get("slope") is not None), None)


def judging_in_words(judging: dict[str, Any]) -> list[str]:
    """Phrases about the reliability of the judges. `judging` is what `judging_of` returns."""
    return [part for name in named_in(judging) for part in judge_named(name).sentences(judging)]


def named_in(judging: dict[str, Any]) -> list[str]:
    """The names of the judges in `judging` that are installed here. `judging` is the result of `judging_of`.

    A run from another machine may name judges that are not installed here.
    """
    return [column["kind"] for column in judging["columns"] if column["kind"] in JUDGES]
