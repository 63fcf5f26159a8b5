"""Ask every source for the candidates that are still missing; store each the moment it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from faq_tui.core.endpoints import Retrying, open_client, probe, run_bounded, stream_chat
from faq_tui.core.endpoints.resolve import reachable
from faq_tui.core.endpoints.retry import GaveUpError
from faq_tui.core.errors import EndpointError, FaqError
from faq_tui.core.events import (
    CandidateDelta,
    CandidateDone,
    CandidateFailed,
    CandidateRetried,
    CandidateStarted,
    Note,
    StageProgress,
    StageStarted,
)
from faq_tui.core.quantizing.fit import refuse_unfit
from faq_tui.core.regenerating import flags_of, generation_of, question_for
from faq_tui.core.regenerating.ask import parts_of, prompt_version
from faq_tui.core.run import Run
from faq_tui.core.settings import Source
from faq_tui.core.stage import Context
from faq_tui.core.store import candidates as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.hashing import digest
from faq_tui.core.store.seeds import Seed

STAGE = "regenerate"


def signature(run: Run) -> str:
    sources = [[name, generation_of(s), s.candidates] for name, s in run.settings.sources.items()]
    return digest(sources, [seed.id for seed in seed_rows.by_role(run.store, "chosen")])


def execute(context: Context) -> str:
    run = context.run
    if not run.settings.sources:
        return "no sources in the settings: the baseline is all there is"
    missing = {name: list(_missing(run, name, source)) for name, source in run.settings.sources.items()}
    todo = sum(len(items) for items in missing.values())
    wanted = sum(s.candidates for s in run.settings.sources.values()) * len(seed_rows.by_role(run.store, "chosen"))
    context.emit(StageStarted(STAGE, todo, "candidates", wanted - todo))
    if todo:
        refuse_unfit(run, recipes="quantize" in context.selected)
    progress = _Progress(context, todo)
    for name, source in run.settings.sources.items():
        if missing[name]:
            asyncio.run(_Asking(context, name, source, progress).all(missing[name]))
    if progress.failed:
        raise FaqError(
            f"{progress.failed} of {todo} candidates failed ({progress.last_failure}); "
            "the others are kept: run the same command again to ask for the failed ones"
        )
    return _summary(context)


def _missing(run: Run, name: str, source: Source) -> Iterator[tuple[Seed, int]]:
    """Seed by seed, so that a stop leaves whole seeds rather than many begun ones."""
    there = {(c.seed_id, c.number) for c in rows.current(run.store, name, generation_of(source))}
    for seed in seed_rows.by_role(run.store, "chosen"):
        for number in range(1, source.candidates + 1):
            if (seed.id, number) not in there:
                yield seed, number


@dataclass
class _Progress:
    context: Context
    total: int
    done: int = 0
    failed: int = 0
    tokens: int = 0
    last_failure: str = ""

    def finish(self, tokens: int) -> None:
        self.done += 1
        self.tokens += tokens
        self.context.emit(StageProgress(STAGE, self.done, self.total, f"{self.tokens} tokens"))


class _Asking:
    """All the requests to one source."""

    def __init__(self, context: Context, name: str, source: Source, progress: _Progress) -> None:
        self.context = context
        self.name = name
        self.source = reachable(context, source)
        self.progress = progress
        self.retrying = Retrying(self.source)

    async def all(self, items: list[tuple[Seed, int]]) -> None:
        async with open_client(self.source) as self.client:
            await run_bounded([self.source], self.first, 1, self.context.cancel)
            await run_bounded(items, self.one, self.source.concurrency, self.context.cancel)

    async def first(self, source: Source) -> None:
        await probe(self.client, source)

    async def one(self, item: tuple[Seed, int]) -> None:
        seed, number = item
        emit, sampling = self.context.emit, self.source.sampling
        who = (seed.id, self.name, number)
        question = question_for(seed, self.source)

        async def request() -> rows.Candidate:
            emit(CandidateStarted(*who))
            reply = await stream_chat(
                self.client,
                self.source.model,
                question.messages,
                sampling,
                sampling.seed + number - 1,
                question.extra,
                lambda reasoning, answer: emit(CandidateDelta(*who, reasoning, answer)),
            )
            reasoning, answer = parts_of(reply, self.source)
            return rows.Candidate(
                seed_id=seed.id,
                source=self.name,
                number=number,
                generation=generation_of(self.source),
                model=self.source.model,
                prompt_version=prompt_version(self.source),
                reasoning=reasoning,
                answer=answer,
                finish_reason=reply.finish_reason,
                flags=flags_of(reply, reasoning, answer),
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                seconds=reply.seconds,
                dialect=reply.dialect,
            )

        try:
            candidate = await self.retrying(
                request, lambda attempt, wait, reason: emit(CandidateRetried(*who, attempt, wait, reason))
            )
        except GaveUpError as gave_up:
            if gave_up.fault.unreachable:
                raise EndpointError(f"{gave_up.fault.advice}; finished candidates are kept") from None
            self.progress.failed += 1
            self.progress.last_failure = gave_up.fault.reason
            emit(CandidateFailed(*who, gave_up.fault.reason))
            return
        candidate_id = rows.add(self.context.run.store, candidate)
        tokens = candidate.completion_tokens or 0
        emit(CandidateDone(*who, candidate_id, tokens, candidate.seconds, candidate.flags))
        self.progress.finish(tokens)


def _summary(context: Context) -> str:
    run = context.run
    parts = []
    for name, source in run.settings.sources.items():
        found = rows.current(run.store, name, generation_of(source))
        flagged = sum(bool(c.flags) for c in found)
        tokens = sum(c.completion_tokens or 0 for c in found)
        parts.append(f"{name}: {len(found)} candidates, {tokens} tokens, {flagged} unfit (cut off, empty or looping)")
        without = sum(not c.reasoning for c in found)
        if source.reasoning == "native" and without:
            context.emit(
                Note(
                    f"{without} of {len(found)} candidates of {name} came without reasoning: does the server need a "
                    'reasoning parser, or the source `reasoning = "prompted"`?',
                    "warning",
                )
            )
    return "; ".join(parts)
