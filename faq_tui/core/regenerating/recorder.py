"""What becomes of a reply: told from reasoning, looked at for rubbish, stored at once, and said."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faq_tui.core.endpoints import Reply
from faq_tui.core.regenerating.candidate_requests import (
    SAMPLE,
    PendingCandidate,
    parts_of,
    prompt_version,
    source_hash_of,
)
from faq_tui.core.regenerating.flags import CUT_OFF, unusable_reasons
from faq_tui.core.regenerating.generation_cost import estimate_cost
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import CandidateDone, CandidateFailed, Note, StageProgress
from faq_tui.core.settings import Source
from faq_tui.core.store import candidates
from faq_tui.core.store.candidates import Candidate, Failure

STAGE = "regenerate"
OTHER_SEEDS = 1000  # above the seeds of the 64 candidates that a seed can have


@dataclass
class RegenerationProgress:
    """Of the whole stage."""

    total: int
    done: int = 0
    failed: int = 0
    tokens: int = 0
    last_failure: str = ""


@dataclass(frozen=True)
class RequestPolicy:
    """How one candidate is asked for this time."""

    max_tokens: int
    sampling_seed: int
    again: str = ""  # why it is asked for once more


def first_request(source: Source, number: int) -> RequestPolicy:
    return RequestPolicy(source.sampling.max_tokens, source.sampling.seed + number - 1)


def next_request(source: Source, ask: RequestPolicy, candidate: Candidate) -> RequestPolicy | None:
    """How an unfit candidate is asked for once more, by the source's policy; None if it stays as it is."""
    if not candidate.flags or ask.again:
        return None
    policy = source.on_truncated if CUT_OFF & set(candidate.flags) else source.on_flagged
    why = ", ".join(candidate.flags)
    if policy == "retry":
        room = round(ask.max_tokens * source.retry_room)
        return replace(ask, max_tokens=room, again=f"{why}: asked again with room for {room} tokens")
    if policy == "other_seed":
        other = ask.sampling_seed + OTHER_SEEDS
        return replace(ask, sampling_seed=other, again=f"{why}: asked again with the sampling seed {other}")
    return None


class CandidateRecorder:
    """Of one source."""

    def __init__(
        self,
        context: Context,
        name: str,
        source: Source,
        progress: RegenerationProgress,
        todo: list[PendingCandidate],
    ) -> None:
        self.context, self.name, self.source, self.progress = context, name, source, progress
        self.source_hash = source_hash_of(source)
        self._todo = todo
        self._settled = 0

    def candidate(
        self, wanted: PendingCandidate, reply: Reply, ask: RequestPolicy, max_tokens: int, requests: int
    ) -> Candidate:
        """Not stored yet: it may be asked for once more."""
        reasoning, answer = parts_of(reply, self.source)
        why = unusable_reasons(reply, reasoning, answer, wanted.seed)
        return Candidate(
            seed_id=wanted.seed.id,
            source=self.name,
            number=wanted.number,
            source_hash=self.source_hash,
            model=self.source.model,
            prompt_version=prompt_version(self.source),
            reasoning=reasoning,
            answer=answer,
            finish_reason=reply.finish_reason,
            flags=tuple(why),
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            seconds=reply.seconds,
            dialect=reply.dialect,
            max_tokens=max_tokens,
            sampling_seed=ask.sampling_seed,
            requests=requests,
            why=why,
        )

    def keep(self, candidate: Candidate) -> None:
        candidate_id = candidates.add(self.context.run.store, candidate)
        tokens, emit = candidate.completion_tokens or 0, self.context.emit
        who = (candidate.seed_id, self.name, candidate.number)
        emit(CandidateDone(*who, candidate_id, tokens, candidate.seconds, candidate.flags))
        self.progress.done += 1
        self.progress.tokens += tokens
        emit(StageProgress(STAGE, self.progress.done, self.progress.total, f"{self.progress.tokens} tokens"))
        self._settled += 1
        if self._settled == SAMPLE and len(self._todo) > SAMPLE:
            self.tell()

    def fail(self, wanted: PendingCandidate, reason: str, requests: int) -> None:
        failure = Failure(wanted.seed.id, self.name, wanted.number, self.source_hash, reason, requests)
        candidates.add_failure(self.context.run.store, failure)
        self.progress.failed += 1
        self.progress.last_failure = reason
        self.context.emit(CandidateFailed(wanted.seed.id, self.name, wanted.number, reason))

    def tell(self) -> None:
        """The estimate of what is still to come, once there is something to go by."""
        left = self._todo[self._settled :]
        if left:
            self.context.emit(Note(estimate_cost(self.context.run.store, self.name, self.source, left).sentence()))


def better_candidate(first: Candidate, second: Candidate) -> Candidate:
    """The fit one; of two unfit ones that with fewer flags, or else the later."""
    return first if len(first.flags) < len(second.flags) else second
