"""The stage `regenerate`: request the pending candidates of every source, and store each complete candidate."""

from __future__ import annotations

from collections.abc import Collection

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.text import counted
from faq_tui.core.family import warnings as family_warnings
from faq_tui.core.quantizing.preflight import refuse_unquantizable
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.regenerating.candidate_requests import (
    PendingCandidate,
    cost_sample,
    pending_candidates,
    unusable_candidates,
)
from faq_tui.core.regenerating.flags import counts_in_words
from faq_tui.core.regenerating.generation_cost import estimate_cost, needs_consent
from faq_tui.core.regenerating.local import LocalGenerator
from faq_tui.core.regenerating.recorder import STAGE, CandidateRecorder, RegenerationProgress
from faq_tui.core.regenerating.remote import RemoteGenerator
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.stages.unused import KEPT, unused_candidates
from faq_tui.core.store import candidates as rows
from faq_tui.core.store import seeds as seed_rows


def signature(run: Run) -> str:
    sources = [[name, source_hash_of(s), s.candidates] for name, s in run.settings.sources.items()]
    return digest(sources, seed_rows.ids_by_role(run.store, "chosen"))


def execute(context: Context) -> str:
    run = context.run
    if not run.settings.sources:
        return "the settings have no sources, so faq-tui makes only the baseline"
    pending = {name: pending_candidates(run, source) for name, source in run.settings.sources.items()}
    if context.retry_unusable:
        for name, source in run.settings.sources.items():
            pending[name] += unusable_candidates(run, source, len(pending[name]))
    total = sum(map(len, pending.values()))
    all_together = sum(s.candidates for s in run.settings.sources.values()) * seed_rows.counts(run.store)["chosen"]
    context.emit(StageStarted(STAGE, total, "candidates", all_together - total))
    unused = unused_candidates(run)
    if unused:
        context.emit(Note(f"{unused.in_words()} will not be used; {KEPT}"))
    if total:
        refuse_unquantizable(run, recipes="quantize" in context.selected)
        for text in family_warnings(run):
            context.emit(Note(text, "warning"))
    progress = RegenerationProgress(total)
    for name, source in run.settings.sources.items():
        todo = pending[name]
        rows.clear_failures(run.store, source_hash_of(source), ((one.seed.id, one.number) for one in todo))
        if todo:
            _generate(context, CandidateRecorder(context, name, source, progress, todo), todo)
    if progress.failed:
        failed = f"{progress.failed} of {total} candidates failed ({progress.last_failure})"
        if progress.failed < total:
            failed += "; the others are kept"
        if progress.failed > progress.refused or not _every_source_has_candidates(run):
            raise FaqError(f"{failed}: run the same command again to request the failed candidates")
        context.emit(
            Note(
                f"{failed}. The server refuses these requests (pane 2 shows the reasons), so the stage is done; "
                "--retry-unusable requests them again",
                "warning",
            )
        )
    if progress.loops:
        loops = counted(progress.loops, "stream that repeated itself was", "streams that repeated themselves were")
        context.emit(Note(f"{loops} ended early, which saved up to {counted(progress.saved_tokens, 'token')}"))
    return _summary(context)


def generate_one(context: Context, name: str, seed_ids: Collection[str]) -> str:
    """Generate the missing candidates of one local source for some of the seeds. Returns a summary."""
    run = context.run
    source = run.settings.sources[name]
    todo = [one for one in pending_candidates(run, source) if one.seed.id in seed_ids]
    context.emit(StageStarted(STAGE, len(todo), "candidates", source.candidates * len(seed_ids) - len(todo)))
    progress = RegenerationProgress(len(todo))
    rows.clear_failures(run.store, source_hash_of(source), ((one.seed.id, one.number) for one in todo))
    if todo:
        _generate(context, CandidateRecorder(context, name, source, progress, todo), todo)
    if progress.failed:
        raise FaqError(
            f"{progress.failed} of {len(todo)} candidates failed ({progress.last_failure}): run the unit again"
        )
    return counted(progress.done, "candidate")


def _generate(context: Context, recorder: CandidateRecorder, pending: list[PendingCandidate]) -> None:
    """Generate one source's candidates.

    If the candidates cost much, only a sample of them is generated until a person agrees to the cost.
    """
    source, store = recorder.source, context.run.store
    generate = LocalGenerator(recorder) if source.is_local else RemoteGenerator(recorder)
    if not context.confirmed and needs_consent(source, estimate_cost(store, recorder.name, source, pending)):
        pending = _after_sample(context, recorder, generate, pending)
    if pending:
        generate(pending)


def _after_sample(
    context: Context,
    recorder: CandidateRecorder,
    generate: LocalGenerator | RemoteGenerator,
    pending: list[PendingCandidate],
) -> list[PendingCandidate]:
    """Generate a sample if the source has no candidates yet. Returns the candidates that are still pending.

    The sample gives an estimate of the cost. Raises UsageError if a person must first agree to this cost.
    """
    source, store = recorder.source, context.run.store
    if rows.tally(store, recorder.source_hash, source.candidates).candidates == 0:
        sample = cost_sample(pending) or pending
        context.emit(
            Note(f"{recorder.name}: {counted(len(sample), 'candidate')} first, to estimate the cost of the others")
        )
        generate(sample)
        done = {one.order for one in sample}
        pending = [one for one in pending if one.order not in done]
    expected = estimate_cost(store, recorder.name, source, pending)
    if needs_consent(source, expected):
        how = "to agree, give --yes, or press r again in the app (finished candidates are kept)"
        raise UsageError(f"{expected.sentence()}: {how}")
    return pending


def _every_source_has_candidates(run: Run) -> bool:
    sources = run.settings.sources.values()
    return all(rows.tally(run.store, source_hash_of(one), one.candidates).candidates for one in sources)


def _summary(context: Context) -> str:
    run = context.run
    parts = []
    for name, source in run.settings.sources.items():
        wanted = run.store, source_hash_of(source), source.candidates
        tally = rows.tally(*wanted)
        why = counts_in_words(rows.flag_counts(*wanted))
        parts.append(
            f"{name}: {counted(tally.candidates, 'candidate')}, {tally.tokens_in_words()}, {tally.unusable} unusable"
            f"{f' ({why})' if why else ''}"
        )
        unreasoned = rows.count_unreasoned(*wanted) if source.reasoning == "native" else 0
        if unreasoned:
            context.emit(
                Note(
                    f"{unreasoned} of {tally.candidates} candidates of {name} have no reasoning: start the server "
                    'with a reasoning parser, or set reasoning = "prompted" for the source',
                    "warning",
                )
            )
    return "; ".join(parts)
