"""The stage `judge`: each judge in the settings scores the candidates that it has not scored yet.

Afterwards, the stage picks a candidate for each seed.

The stage reads a candidate's text only if the candidate has no score yet.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from faq_tui.core.base.hashing import digest
from faq_tui.core.base.text import counted
from faq_tui.core.judging.derive import derive
from faq_tui.core.judging.identity import column_id, judge_id, judge_named, layout_of, outlines_of, usable_groups
from faq_tui.core.judging.judges.base import Item, Score
from faq_tui.core.judging.picking import best_candidate
from faq_tui.core.judging.summary import judging_in_words, judging_of
from faq_tui.core.regenerating.candidate_requests import layout_state
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, ScoreReady, StageProgress, StageStarted
from faq_tui.core.run.remembered import remembered
from faq_tui.core.run.run import Run
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import picks as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.candidates import Candidate, CandidateOutline
from faq_tui.core.store.picks import ScoreRow

STAGE = "judge"


def signature(run: Run) -> str:
    judge, columns = judge_id(run), [column_id(run, kind) for kind in run.settings.judge.kinds()]

    def compute() -> str:
        candidates = {name: layout_of(run, name).ids.tolist() for name in run.settings.sources}
        return digest(judge, columns, sorted(candidates.items()))

    inputs = [judge, columns, layout_state(run)]
    return str(remembered(run, "signature of judge", ("seeds", "candidates"), inputs, compute))


def execute(context: Context) -> str:
    run = context.run
    if not run.settings.sources:
        return "the settings have no sources, so there is nothing to judge"
    candidates = {name: outlines_of(run, name) for name in run.settings.sources}
    usable = [c for of_source in candidates.values() for c in of_source if not c.flags]
    pending = {kind: _pending(run, kind, usable) for kind in run.settings.judge.kinds()}
    total = sum(map(len, pending.values()))
    unit = "candidates" if len(pending) == 1 else "scores"
    context.emit(StageStarted(STAGE, total, unit, len(usable) * len(pending) - total))
    done = 0
    for kind, outlines in pending.items():
        if outlines:
            done = _score(context, kind, outlines, done, total)
    derive(run, usable_groups(run))
    parts = [_pick(context, name, of_source) for name, of_source in candidates.items()]
    return "; ".join([*parts, *judging_in_words(judging_of(run))])


def _pending(run: Run, kind: str, usable: Sequence[CandidateOutline]) -> list[CandidateOutline]:
    identity = column_id(run, kind)
    scores = rows.scores_of(run.store, identity)
    return judge_named(kind).pending(
        run.settings.judge, usable, scores, lambda: rows.ScoreDetails(run.store, identity)
    )


def _score(context: Context, kind: str, outlines: Sequence[CandidateOutline], done: int, total: int) -> int:
    """Score the candidates with one judge, and store each score as soon as it is made.

    Returns the number of scores made so far. `done` is the number of scores made before this call. `total` is the
    number of all scores to make. `done` and `total` include the scores of all judges.
    """
    run, judge = context.run, judge_named(kind)
    identity = column_id(run, kind)

    def on_score(candidate: Candidate, score: Score) -> None:
        nonlocal done
        value, reason = score.score, score.reason
        if value is not None and not math.isfinite(value):
            value, reason = None, f"{kind} gave no finite score"
        row = ScoreRow(candidate.id, identity, kind, value, reason, score.details)
        rows.add_score(run.store, row, score.raw, judge.replaces)
        context.emit(ScoreReady(candidate.seed_id, candidate.source, candidate.id, kind, value, reason))
        done += 1
        context.emit(StageProgress(STAGE, done, total))

    judge.score_all(context, _with_texts(run, outlines), on_score)
    return done


def _with_texts(run: Run, outlines: Sequence[CandidateOutline]) -> list[Item]:
    seeds = {seed.id: seed for seed in seed_rows.by_role(run.store, "chosen")}
    texts = candidate_rows.by_ids(run.store, (outline.id for outline in outlines))
    # If a source was renamed, its stored candidates still have the source's old name, but the outlines have its new
    # name.
    return [(seeds[o.seed_id], replace(texts[o.id], source=o.source)) for o in outlines]


def _pick(context: Context, name: str, candidates: Sequence[CandidateOutline]) -> str:
    """Pick candidates for one source's seeds, and store the picks that changed. Returns a summary."""
    run, judge = context.run, judge_id(context.run)
    scores = rows.scores_of(run.store, judge)
    by_seed: dict[str, list[CandidateOutline]] = defaultdict(list)
    for candidate in candidates:
        by_seed[candidate.seed_id].append(candidate)
    choice = {seed_id: best_candidate(of_seed, scores) for seed_id, of_seed in by_seed.items()}
    before = rows.judged_by(run.store, name, judge)
    changed = [
        (seed_id, name, "pick" if candidate_id else "reject", candidate_id)
        for seed_id, candidate_id in choice.items()
        if seed_id not in before or before[seed_id] != candidate_id
    ]
    rows.add_picks(run.store, changed, "judge", judge, "best score")
    unscored = sum(scores.get(c.id) is None for c in candidates if not c.flags)
    without = sum(candidate_id is None for candidate_id in choice.values())
    if without:
        context.emit(Note(f"{without} of {len(choice)} seeds of {name} have no usable candidate", "warning"))
    picked = f"{len(choice) - without} of {len(choice)} seeds have a pick"
    return f"{name}: {picked}, {counted(unscored, 'candidate')} unscored"
