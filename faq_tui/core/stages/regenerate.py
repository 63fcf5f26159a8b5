"""Ask every source for the candidates that are still missing; store each the moment it is whole."""

from __future__ import annotations

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.family import warnings as family_warnings
from faq_tui.core.quantizing.preflight import refuse_unquantizable
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.regenerating.candidate_requests import PendingCandidate, cost_sample, pending_candidates
from faq_tui.core.regenerating.flags import counts_in_words
from faq_tui.core.regenerating.generation_cost import estimate_cost, needs_consent
from faq_tui.core.regenerating.local import LocalGenerator
from faq_tui.core.regenerating.recorder import STAGE, CandidateRecorder, RegenerationProgress
from faq_tui.core.regenerating.remote import RemoteGenerator
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.store import candidates as rows
from faq_tui.core.store import seeds as seed_rows


def signature(run: Run) -> str:
    sources = [[name, source_hash_of(s), s.candidates] for name, s in run.settings.sources.items()]
    return digest(sources, seed_rows.ids_by_role(run.store, "chosen"))


def execute(context: Context) -> str:
    run = context.run
    if not run.settings.sources:
        return "no sources in the settings: the baseline is all there is"
    todo = {name: pending_candidates(run, source) for name, source in run.settings.sources.items()}
    total = sum(map(len, todo.values()))
    wanted = sum(s.candidates for s in run.settings.sources.values()) * seed_rows.counts(run.store)["chosen"]
    context.emit(StageStarted(STAGE, total, "candidates", wanted - total))
    if total:
        refuse_unquantizable(run, recipes="quantize" in context.selected)
        for text in family_warnings(run):
            context.emit(Note(text, "warning"))
    progress = RegenerationProgress(total)
    for name, source in run.settings.sources.items():
        rows.clear_failures(run.store, source_hash_of(source), ((w.seed.id, w.number) for w in todo[name]))
        if todo[name]:
            _ask(context, CandidateRecorder(context, name, source, progress, todo[name]), todo[name])
    if progress.failed:
        raise FaqError(
            f"{progress.failed} of {total} candidates failed ({progress.last_failure}); "
            "the others are kept: run the same command again to ask for the failed ones"
        )
    return _summary(context)


def _ask(context: Context, keeper: CandidateRecorder, todo: list[PendingCandidate]) -> None:
    """Where it costs, a sample comes first (it is kept), and then a person's yes."""
    source = keeper.source
    asking = LocalGenerator(keeper) if source.is_local else RemoteGenerator(keeper)
    if not context.confirmed and needs_consent(source, estimate_cost(context.run.store, keeper.name, source, todo)):
        todo = _sampled(context, keeper, asking, todo)
    if todo:
        asking(todo)


def _sampled(
    context: Context,
    keeper: CandidateRecorder,
    asking: LocalGenerator | RemoteGenerator,
    todo: list[PendingCandidate],
) -> list[PendingCandidate]:
    """What is left after the sample, if it needs no consent. Raises UsageError if it does."""
    source, store = keeper.source, context.run.store
    if rows.tally(store, keeper.source_hash).candidates == 0:
        sample = cost_sample(todo) or todo
        context.emit(Note(f"{keeper.name}: {len(sample)} candidates first, to estimate the cost of the others"))
        asking(sample)
        taken = {w.order for w in sample}
        todo = [w for w in todo if w.order not in taken]
    expected = estimate_cost(store, keeper.name, source, todo)
    if needs_consent(source, expected):
        how = "if you want that, give --yes, in the app press r again (what is finished is kept)"
        raise UsageError(f"{expected.sentence()}: {how}")
    return todo


def _summary(context: Context) -> str:
    run = context.run
    parts = []
    for name, source in run.settings.sources.items():
        found = rows.tally(run.store, source_hash_of(source))
        why = counts_in_words(rows.flag_counts(run.store, source_hash_of(source)))
        parts.append(
            f"{name}: {found.candidates} candidates, {found.completion_tokens} tokens, {found.unusable} unfit"
            f"{f' ({why})' if why else ''}"
        )
        unreasoned = rows.count_unreasoned(run.store, source_hash_of(source)) if source.reasoning == "native" else 0
        if unreasoned:
            context.emit(
                Note(
                    f"{unreasoned} of {found.candidates} candidates of {name} came without reasoning: does the "
                    'server need a reasoning parser, or the source `reasoning = "prompted"`?',
                    "warning",
                )
            )
    return "; ".join(parts)
