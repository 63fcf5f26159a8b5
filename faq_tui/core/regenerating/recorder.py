"""Make a candidate with flags from a reply, store it at once, and emit events about it."""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.base.text import counted
from faq_tui.core.endpoints import Reply
from faq_tui.core.regenerating.candidate_requests import (
    SAMPLE,
    PendingCandidate,
    RequestPolicy,
    parts_of,
    prompt_version,
    source_hash_of,
)
from faq_tui.core.regenerating.control_tokens import ControlTokens
from faq_tui.core.regenerating.flags import unusable_reasons
from faq_tui.core.regenerating.generation_cost import estimate_cost
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import CandidateDone, CandidateFailed, CandidateRetried, LoopEnded, Note, StageProgress
from faq_tui.core.settings import Source
from faq_tui.core.store import candidates
from faq_tui.core.store.candidates import Candidate, Failure

STAGE = "regenerate"


@dataclass
class RegenerationProgress:
    """The counts of candidates in the whole stage, summed over all sources."""

    total: int
    done: int = 0
    failed: int = 0
    refused: int = 0  # number of failed candidates whose requests will always be refused by the server
    tokens: int = 0
    loops: int = 0  # streams that were ended because they repeated themselves
    # sum of (limit of tokens - number of tokens) over the streams that were ended early
    saved_tokens: int = 0
    last_failure: str = ""


class CandidateRecorder:
    """Stores the candidates of one source, and emits events about each of them."""

    def __init__(
        self,
        context: Context,
        name: str,
        source: Source,
        progress: RegenerationProgress,
        pending: list[PendingCandidate],
    ) -> None:
        self.context, self.name, self.source, self.progress = context, name, source, progress
        self.source_hash = source_hash_of(source)
        self._control = ControlTokens.of_run(context.run, source)
        self._pending = pending
        self._stored = 0
        self._ids: list[int] = []  # the new candidates

    def candidate(
        self, pending: PendingCandidate, reply: Reply, policy: RequestPolicy, max_tokens: int, requests: int
    ) -> Candidate:
        """Make a candidate from a reply. The candidate is not stored yet, because a second request may follow."""
        reasoning, answer = parts_of(reply, self.source)
        why = unusable_reasons(reply, reasoning, answer, pending.seed, self._control)
        return Candidate(
            seed_id=pending.seed.id,
            source=self.name,
            number=pending.number,
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
            sampling_seed=None if "seed" in reply.left_out else policy.sampling_seed,
            left_out=reply.left_out,
            requests=requests,
            why=why,
        )

    def loop_ended(self, pending: PendingCandidate, tokens: int, limit: int) -> None:
        """Count a stream that was ended because it repeated itself.

        The stream had `tokens` tokens, and its limit was `limit` tokens.
        """
        saved = max(0, limit - tokens)
        self.progress.loops += 1
        self.progress.saved_tokens += saved
        self.context.emit(LoopEnded(pending.seed.id, self.name, pending.number, tokens, saved))

    def repeat(self, pending: PendingCandidate, policy: RequestPolicy) -> None:
        """Emit an event with the reason why the candidate is requested a second time."""
        self.context.emit(CandidateRetried(pending.seed.id, self.name, pending.number, 1, 0.0, policy.again))

    def keep(self, candidate: Candidate, replaces: bool = False) -> None:
        """Store the candidate.

        With `replaces`, the new candidate replaces the stored one, unless the new one has more flags.
        """
        store = self.context.run.store
        candidate_id = candidates.replace_worse(store, candidate) if replaces else candidates.add(store, candidate)
        if not replaces:
            self._ids.append(candidate_id)
        tokens, emit = candidate.completion_tokens or 0, self.context.emit
        who = (candidate.seed_id, self.name, candidate.number)
        emit(CandidateDone(*who, candidate_id, tokens, candidate.seconds, candidate.flags))
        self.progress.done += 1
        self.progress.tokens += tokens
        emit(StageProgress(STAGE, self.progress.done, self.progress.total, counted(self.progress.tokens, "token")))
        self._stored += 1
        if self._stored == SAMPLE and len(self._pending) > SAMPLE:
            self._emit_cost()

    def fail(self, pending: PendingCandidate, reason: str, requests: int, refused: bool = False) -> None:
        """Store the reason why the candidate has no answer. `refused` is True if the server would always refuse this
        request.
        """
        failure = Failure(pending.seed.id, self.name, pending.number, self.source_hash, reason, requests)
        if not pending.replaces:  # a failed replacement needs no record, because the stored candidate is kept
            candidates.add_failure(self.context.run.store, failure)
        self.progress.failed += 1
        self.progress.refused += refused
        self.progress.last_failure = reason
        self.context.emit(CandidateFailed(pending.seed.id, self.name, pending.number, reason))

    def discard_all(self) -> None:
        """Delete the candidates that this recorder has stored, so that they are requested again."""
        candidates.discard(self.context.run.store, self._ids)

    def _emit_cost(self) -> None:
        """Emit an estimate of the remaining cost, which is based on the first finished candidates."""
        rest = self._pending[self._stored :]
        if rest:
            self.context.emit(Note(estimate_cost(self.context.run.store, self.name, self.source, rest).sentence()))
