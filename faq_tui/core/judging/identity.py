"""Compute the ids under which judges' scores are stored, and list the candidates to score.

If the judge in the settings changes, candidates are scored again, but they are not regenerated. This module reads no
text of candidates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import or_
from typing import cast

from faq_tui.core.base.hashing import digest
from faq_tui.core.extensions import JUDGES
from faq_tui.core.judging.judges.base import Judge
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.regenerating.candidate_requests import layout_state
from faq_tui.core.run.remembered import remembered
from faq_tui.core.run.run import Run
from faq_tui.core.settings import MIX
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import judged, picks, seeds
from faq_tui.core.store.candidates import CandidateOutline
from faq_tui.core.store.judged import CandidateLayout, ScoreSummary
from faq_tui.core.store.picks import DecidingPick, Pick, PickCounts


def judge_named(kind: str) -> Judge:
    """The judge with the name `kind`. Raises UsageError if no judge has this name."""
    return cast(Judge, JUDGES.get(kind))


def column_id(run: Run, kind: str) -> str:
    """A hash of everything that affects this judge's scores, except the candidates."""
    return judge_named(kind).column_id(run)


def shown_id(run: Run, kind: str) -> str:
    """The id of the scores by which this judge would pick candidates.

    The scores are length-controlled if the settings require it.
    """
    identity = column_id(run, kind)
    controlled = judge_named(kind).length_matters and run.settings.judge.length_control
    return digest("length control", identity) if controlled else identity


def judge_id(run: Run) -> str:
    """The id of the scores that decide the pick: the scores of one judge, or the weighted mix of several judges."""
    judge = run.settings.judge
    if judge.picks_by != MIX:
        return shown_id(run, judge.picks_by)
    return digest(MIX, sorted((kind, weight, shown_id(run, kind)) for kind, weight in judge.weights().items()))


def outlines_of(run: Run, name: str) -> list[CandidateOutline]:
    """The candidates of the source `name` under its present settings.

    If the settings now require fewer candidates per seed, the candidates with higher numbers are left out.
    """
    source = run.settings.sources[name]
    return candidate_rows.outlines(run.store, name, source_hash_of(source), source.candidates)


def usable_groups(run: Run) -> list[list[int]]:
    """Groups of usable candidates. Each group holds the ids of the candidates for one seed from one source."""
    sources = run.settings.sources.values()
    return [
        group
        for source in sources
        for group in judged.usable_groups(run.store, source_hash_of(source), source.candidates)
    ]


def layout_of(run: Run, name: str) -> CandidateLayout:
    """The ids of the candidates of the source `name` under its present settings."""
    source = run.settings.sources[name]
    return judged.layout(run.store, source_hash_of(source), source.candidates)


def score_summary(run: Run, judge: str) -> ScoreSummary:
    """A summary of the scores by this judge of the candidates in `usable_groups`."""
    marks = bytearray()
    for name in run.settings.sources:  # sources with equal settings share their candidates
        usable = layout_of(run, name).usable
        marks = bytearray(map(or_, marks, usable)) + usable[len(marks) :] if marks else usable
    return judged.summary_of(run.store, judge, marks)


def count_scored(run: Run, name: str) -> int:
    """The number of this source's candidates for chosen seeds that have a score that decides the pick."""
    judge = judge_id(run)

    def count() -> int:
        return judged.summary_of(run.store, judge, layout_of(run, name).every).scored

    return int(remembered(run, f"scored {name}", judged.SCORED, [judge, layout_state(run)], count))


def current_picks(run: Run, source: str, until: float = math.inf) -> dict[str, Pick]:
    """Map each seed's id to its pick under the present settings of the source and of the judge.

    Picks that were stored after `until` (unix seconds) are ignored.
    """
    return picks.current(run.store, source, judge_id(run), source_hash_of(run.settings.sources[source]), until)


def pick_counts(run: Run, source: str) -> PickCounts:
    """Counts of the picks that `chosen_picks` returns."""
    judge, source_hash = judge_id(run), source_hash_of(run.settings.sources[source])

    def count() -> list[int]:
        return list(vars(picks.count_current(run.store, source, judge, source_hash)).values())

    tables = ("seeds", "candidates", "picks")
    return PickCounts(*remembered(run, f"picked {source}", tables, [judge, source_hash], count))


def chosen_picks(run: Run, source: str, until: float = math.inf) -> dict[str, Pick]:
    """Like `current_picks`, but only for seeds that are chosen now.

    A seed that is not drawn any more, for example after `seeds.count` was lowered, keeps its pick in the database.
    """
    chosen = set(seeds.ids_by_role(run.store, "chosen"))
    return {seed_id: pick for seed_id, pick in current_picks(run, source, until).items() if seed_id in chosen}


def deciding_picks(run: Run, source: str) -> Iterator[DecidingPick]:
    """The picks of `current_picks`. If a person picked the same candidate as the judge, the judge is the picker.

    Signatures use these picks, because a person who agrees with the judge changes no calibration set.
    """
    return picks.deciding(run.store, source, judge_id(run), source_hash_of(run.settings.sources[source]))
