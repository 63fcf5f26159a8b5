"""Mark the candidates that have no mark of this judge yet, then let the marks pick."""

from __future__ import annotations

from collections import defaultdict

from faq_tui.core.events import Note, ScoreReady, StageProgress, StageStarted
from faq_tui.core.judging import likelihood, llm
from faq_tui.core.judging.choose import best
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.judging.mark import Mark
from faq_tui.core.regenerating import generation_of
from faq_tui.core.run import Run
from faq_tui.core.stage import Context
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import picks as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.hashing import digest

STAGE = "judge"


def signature(run: Run) -> str:
    found = {name: [c.id for c in candidates_of(run, name)] for name in run.settings.sources}
    return digest(judge_id(run), sorted(found.items()))


def candidates_of(run: Run, name: str) -> list[Candidate]:
    """The source's candidates under its present settings: asking for fewer a seed hides the later numbers."""
    source = run.settings.sources[name]
    found = candidate_rows.current(run.store, name, generation_of(source))
    return [candidate for candidate in found if candidate.number <= source.candidates]


def execute(context: Context) -> str:
    run = context.run
    if not run.settings.sources:
        return "no sources, nothing to judge"
    judge, kind = judge_id(run), run.settings.judge.kind
    seeds = {seed.id: seed for seed in seed_rows.by_role(run.store, "chosen")}
    marked = rows.scores_of(run.store, judge)
    everything = [candidate for name in run.settings.sources for candidate in candidates_of(run, name)]
    fit = [c for c in everything if not c.flags]
    items = [(seeds[c.seed_id], c) for c in fit if c.id not in marked]
    context.emit(StageStarted(STAGE, len(items), "candidates", len(fit) - len(items)))
    done = 0

    def on_mark(candidate: Candidate, mark: Mark) -> None:
        nonlocal done
        rows.add_score(run.store, candidate.id, judge, kind, mark.score, mark.reason, mark.raw)
        context.emit(ScoreReady(candidate.seed_id, candidate.source, candidate.id, kind, mark.score, mark.reason))
        done += 1
        context.emit(StageProgress(STAGE, done, len(items)))

    if items:
        (llm if kind == "llm" else likelihood).mark_all(context, items, on_mark)
    return _pick(context, judge)


def _pick(context: Context, judge: str) -> str:
    run, parts = context.run, []
    scores = rows.scores_of(run.store, judge)
    for name in run.settings.sources:
        by_seed: dict[str, list[Candidate]] = defaultdict(list)
        for candidate in candidates_of(run, name):
            by_seed[candidate.seed_id].append(candidate)
        choice = {seed_id: best(found, scores) for seed_id, found in by_seed.items()}
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
                Note(
                    f"{without} of {len(choice)} seeds of {name} have no candidate fit to be picked",
                    "warning",
                )
            )
        parts.append(
            f"{name}: {len(choice) - without} of {len(choice)} seeds have a pick, {unscored} candidates unscored"
        )
    return "; ".join(parts)
