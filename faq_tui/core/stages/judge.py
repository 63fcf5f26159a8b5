"""Mark the candidates that have no mark yet of a judge that the settings name, then let the marks pick."""

from __future__ import annotations

from collections import defaultdict

from faq_tui.core.base.hashing import digest
from faq_tui.core.judging import activation, likelihood, llm
from faq_tui.core.judging.derive import derive
from faq_tui.core.judging.identity import candidates_of, column_id, judge_id, usable_groups
from faq_tui.core.judging.score import Score, best_candidate
from faq_tui.core.judging.summary import judging_in_words, judging_of
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, ScoreReady, StageProgress, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.store import picks as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.candidates import Candidate

STAGE = "judge"
MARKERS = {"llm": llm, "likelihood": likelihood, "activation": activation}
Items = list[tuple[seed_rows.Seed, Candidate]]


def signature(run: Run) -> str:
    found = {name: [c.id for c in candidates_of(run, name)] for name in run.settings.sources}
    columns = [column_id(run, kind) for kind in run.settings.judge.kinds()]
    return digest(judge_id(run), columns, sorted(found.items()))


def execute(context: Context) -> str:
    run = context.run
    if not run.settings.sources:
        return "no sources, nothing to judge"
    everything = {name: candidates_of(run, name) for name in run.settings.sources}
    seeds = {seed.id: seed for seed in seed_rows.by_role(run.store, "chosen")}
    fit = [(seeds[c.seed_id], c) for found in everything.values() for c in found if not c.flags]
    todo = {kind: _missing(run, kind, fit) for kind in run.settings.judge.kinds()}
    total = sum(map(len, todo.values()))
    unit = "candidates" if len(todo) == 1 else "marks"
    context.emit(StageStarted(STAGE, total, unit, len(fit) * len(todo) - total))
    done = 0
    for kind, items in todo.items():
        if items:
            done = _mark(context, kind, items, done, total)
    derive(run, usable_groups(run))
    parts = [_pick(context, name, _by_seed(found)) for name, found in everything.items()]
    return "; ".join([*parts, *judging_in_words(judging_of(run))])


def _missing(run: Run, kind: str, fit: Items) -> Items:
    judge = column_id(run, kind)
    marked = rows.scores_of(run.store, judge)
    if kind == "llm":
        return llm.missing(fit, marked, rows.details_of(run.store, judge), run.settings.judge)
    return [item for item in fit if item[1].id not in marked]


def _mark(context: Context, kind: str, items: Items, done: int, total: int) -> int:
    run = context.run
    judge = column_id(run, kind)

    def on_mark(candidate: Candidate, mark: Score) -> None:
        nonlocal done
        # Compared with other candidates than before, one is marked anew; it is the same judge all the same.
        rows.add_score(
            *(run.store, candidate.id, judge, kind, mark.score, mark.reason, mark.raw, mark.details, kind == "llm")
        )
        context.emit(ScoreReady(candidate.seed_id, candidate.source, candidate.id, kind, mark.score, mark.reason))
        done += 1
        context.emit(StageProgress(STAGE, done, total))

    MARKERS[kind].score_all(context, items, on_mark)
    return done


def _by_seed(found: list[Candidate]) -> dict[str, list[Candidate]]:
    by_seed: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in found:
        by_seed[candidate.seed_id].append(candidate)
    return by_seed


def _pick(context: Context, name: str, by_seed: dict[str, list[Candidate]]) -> str:
    run, judge = context.run, judge_id(context.run)
    scores = rows.scores_of(run.store, judge)
    choice = {seed_id: best_candidate(found, scores) for seed_id, found in by_seed.items()}
    before = rows.judged_by(run.store, name, judge)
    changed = [
        (seed_id, name, "pick" if candidate_id else "reject", candidate_id)
        for seed_id, candidate_id in choice.items()
        if seed_id not in before or before[seed_id] != candidate_id
    ]
    rows.add_picks(run.store, changed, "judge", judge, "best score")
    unscored = sum(scores.get(c.id) is None for found in by_seed.values() for c in found if not c.flags)
    without = sum(candidate_id is None for candidate_id in choice.values())
    if without:
        context.emit(
            Note(f"{without} of {len(choice)} seeds of {name} have no candidate fit to be picked", "warning")
        )
    return f"{name}: {len(choice) - without} of {len(choice)} seeds have a pick, {unscored} candidates unscored"
