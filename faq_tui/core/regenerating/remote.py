"""Request candidates from a source's servers in the order of the seeds, and try again after faults."""

from __future__ import annotations

import asyncio
import itertools
import re
from dataclasses import replace

from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.endpoints import Reply, run_bounded, stream_chat
from faq_tui.core.endpoints.faults import RequestFault
from faq_tui.core.endpoints.opened import open_pool
from faq_tui.core.endpoints.pool import Server
from faq_tui.core.endpoints.retry import GaveUpError, with_retries
from faq_tui.core.endpoints.window import LEAST_TOKENS, is_about_room, prompt_fills_window, window_in_refusal
from faq_tui.core.regenerating import swallowed_answers
from faq_tui.core.regenerating.candidate_requests import (
    PendingCandidate,
    RequestPolicy,
    better_candidate,
    next_request,
    question_for,
)
from faq_tui.core.regenerating.flags import LOOP
from faq_tui.core.regenerating.loop_watch import LoopWatch
from faq_tui.core.regenerating.prompt_size import PromptSizes
from faq_tui.core.regenerating.recorder import CandidateRecorder
from faq_tui.core.regenerating.swallowed_answers import SwallowedAnswers
from faq_tui.core.run.events import CandidateDelta, CandidateRetried, CandidateStarted, Note
from faq_tui.core.settings.source import OFF

# three ways to limit an answer: max_tokens is sent, left out, or halved
SENT, LEFT_OUT, HALVED = range(3)
LANES = 2  # number of tasks per slot; while one task waits for its next attempt, another task uses the slot
NO_ROOM = "the question leaves no room for an answer in the model's window"
ENOUGH_REFUSALS = 8  # the stage ends if the requests of this many seeds in a row were refused for the same reason

# words with digits, such as token counts and request ids, which differ between otherwise equal refusals
_VARYING_WORDS = re.compile(r"\S*\d\S*")


class RemoteGenerator:
    """Requests all pending candidates of one source from its servers."""

    def __init__(self, recorder: CandidateRecorder) -> None:
        self.recorder, self.source, self.context = recorder, recorder.source, recorder.context
        self.emit = self.context.emit
        self.refusals = SharedRefusals()
        self._swallowed = SwallowedAnswers()
        self._notes: set[str] = set()  # the notes that were already emitted

    def __call__(self, pending: list[PendingCandidate]) -> None:
        """Request and store all pending candidates.

        Raises EndpointError, FaqError or Stopped. Candidates that were finished before the error stay stored.
        """
        asyncio.run(self._all(pending))

    async def _all(self, pending: list[PendingCandidate]) -> None:
        async with open_pool(self.context, self.source) as self.pool:
            self.prompt_sizes = PromptSizes(self.context.run, self.recorder.name)
            slots = sum(server.concurrency for server in self.pool.servers)
            await run_bounded(pending, self._one, min(len(pending), LANES * slots), self.context.cancel)

    async def _one(self, pending: PendingCandidate) -> None:
        """Request one candidate; request it again if it is unusable and the source's policy asks for this.

        The better answer is stored. If there is no answer, the failure is stored.
        """
        best, failure, requests, refused = None, "", 0, False
        policy: RequestPolicy | None = pending.first_request(self.source)
        while policy is not None:
            request = _CandidateRequest(self, pending, policy)
            try:
                reply, limit = await request.reply()
            except GaveUpError as gave_up:
                failure, refused = gave_up.reason, gave_up.fault.of_request
                break
            finally:
                requests += request.requests
            if best is None and self._swallowed.add(reply):
                self.recorder.discard_all()
                raise FaqError(swallowed_answers.sentence(self.source))
            candidate = self.recorder.candidate(pending, reply, policy, limit, requests)
            best = candidate if best is None else replace(better_candidate(best, candidate), requests=requests)
            again = next_request(self.source, policy, candidate)
            if again is not None and again.max_tokens > policy.max_tokens and request.limit_by != SENT:
                again = None  # there is no second request, because the model's window has no room for a longer answer
            if again is not None:
                self.recorder.repeat(pending, again)
            policy = again
        if best is not None and not self._swallowed.found:
            self.recorder.keep(best, pending.replaces)
        elif best is None:
            self.recorder.fail(pending, failure, requests, refused)

    def note_missing_end(self, server: Server, reply: Reply) -> None:
        """Warn once if a server's reply lacks `finish_reason`, which says why an answer ended."""
        if not reply.whole:
            self.note_once(
                f"{server.shown_url} end",
                f"{server.shown_url} sends neither finish_reason nor [DONE], so faq-tui cannot know whether an "
                "answer is complete. All answers of this server are unusable: use another server or gateway for this "
                "source",
            )
        elif not reply.finish_reason:
            self.note_once(
                f"{server.shown_url} finish_reason",
                f"{server.shown_url} sends no finish_reason: an answer with max_tokens tokens counts as cut off; "
                "other answers are used if the response is complete",
            )

    def note_once(self, about: str, text: str) -> None:
        if about not in self._notes:
            self._notes.add(about)
            self.emit(Note(text, "warning"))


class _CandidateRequest:
    """The request for one answer, with all its attempts."""

    def __init__(self, generator: RemoteGenerator, pending: PendingCandidate, policy: RequestPolicy) -> None:
        self._generator, self._pending, self._policy = generator, pending, policy
        self._pool, self._emit, self._source = generator.pool, generator.emit, generator.source
        self._question = question_for(pending.seed, generator.source)
        self._who = (pending.seed.id, generator.recorder.name, pending.number)
        self._ticket = 0  # the ticket of the latest attempt, from `SharedRefusals`
        self.limit_by = SENT  # how the latest attempt limited the answer
        self.requests = 0  # number of requests that were sent

    async def reply(self) -> tuple[Reply, int]:
        """Returns the answer, and the answer's limit in tokens. Raises GaveUpError, EndpointError or FaqError."""
        begun = asyncio.get_running_loop().time()
        try:
            return await with_retries(
                self._send, self._pool, self._source, self._pending.order, self._on_retry, self._on_refusal
            )
        except GaveUpError as gave_up:
            if gave_up.fault.unreachable and self._pool.last_success < begun:
                raise EndpointError(f"{gave_up.fault.advice}; finished candidates are kept") from None
            raise

    async def _send(self, server: Server) -> tuple[Reply, int]:
        left = await self._generator.prompt_sizes.room(server.max_model_len, self._question, self._policy.max_tokens)
        if left.counted and left.tokens is not None and left.tokens <= 0:
            raise _no_room(server)
        limit = self._limit(server, left.tokens)
        self.requests += 1
        self._emit(CandidateStarted(*self._who))
        self._ticket = self._generator.refusals.open()
        self._loop_watch = LoopWatch()
        try:
            reply = await stream_chat(
                server.client,
                self._source.model,
                self._question.messages,
                self._source.sampling.model_copy(update={"max_tokens": limit}),
                self._policy.sampling_seed,
                self._question.extra,
                self._on_delta,
                cut_here=self.limit_by == LEFT_OUT or self._source.sampling.max_tokens == OFF,
            )
            self.requests += reply.tries - 1
            self._generator.refusals.answered(self._ticket)
            self._generator.note_missing_end(server, reply)
        finally:
            self._generator.refusals.close(self._ticket)
        if reply.finish_reason == LOOP:
            self._generator.recorder.loop_ended(self._pending, reply.completion_tokens or 0, limit)
        return reply, limit

    def _limit(self, server: Server, left: int | None) -> int:
        """The number of tokens that the answer may have.

        `left` is the number of tokens that the window leaves for the answer; None if this number is unknown.

        If prompt and answer together may be too long for the window, max_tokens is left out of the request. Without
        max_tokens, the answer may fill the rest of the window. Only the server can count the prompt's tokens exactly.
        """
        max_tokens = self._policy.max_tokens
        if self.limit_by == HALVED:
            return max(LEAST_TOKENS, min(max_tokens, server.max_model_len or max_tokens) // 2)
        if self.limit_by == SENT and left is not None and left < max_tokens:
            self.limit_by = LEFT_OUT
            self._generator.note_once(
                f"{server.shown_url} {max_tokens}",
                f"{server.shown_url}: max_tokens {max_tokens} and the question do not fit into its window of "
                f"{server.max_model_len} tokens: max_tokens is left out of such requests, and the window may cut "
                "off the answer",
            )
        return max_tokens

    def _on_delta(self, reasoning: str, answer: str) -> str | None:
        self._generator.refusals.answered(self._ticket)
        self._emit(CandidateDelta(*self._who, reasoning, answer))
        return LOOP if self._loop_watch.loops(reasoning + answer) else None

    def _on_retry(self, attempt: int, wait_s: float, reason: str) -> None:
        self._emit(CandidateRetried(*self._who, attempt, wait_s, reason))

    def _on_refusal(self, server: Server, fault: RequestFault, message: str) -> None:
        """Handle a refused request: if another way to limit the answer can help, choose it for the next attempt.

        Raises GaveUpError if the server can never answer this request. Raises FaqError if the server would also
        refuse the requests for all other candidates.
        """
        about_room, fills = is_about_room(message), prompt_fills_window(message)
        if server.max_model_len is None:
            server.max_model_len = window_in_refusal(message)
        if about_room and not fills and self.limit_by != HALVED:
            self.limit_by += 1
            return
        if self._generator.refusals.add(self._ticket, self._pending.seed.id, fault.reason, about_room):
            raise FaqError(fault.advice) from None
        raise GaveUpError(fault, f"{NO_ROOM} ({fault.reason})" if fills else fault.advice) from None


def _no_room(server: Server) -> GaveUpError:
    reason = f"{NO_ROOM} of {server.max_model_len:,} tokens"
    return GaveUpError(RequestFault(False, reason, f"{server.shown_url}: {reason}", False, of_request=True))


class SharedRefusals:
    """Counts the successive seeds whose requests were refused for the same reason. An answered request restarts the
    count.

    When the count reaches `ENOUGH_REFUSALS`, the stage ends, because the servers probably refuse all requests.
    """

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._undecided: set[int] = set()
        self._row: set[str] = set()
        self._words = ""
        self._last = self._row_began = 0
        self._any_answered = False

    def open(self) -> int:
        """Return a ticket for a request that is sent now."""
        self._last = next(self._tickets)
        self._undecided.add(self._last)
        return self._last

    def close(self, ticket: int) -> None:
        """Record that the request has ended, with or without success."""
        self._undecided.discard(ticket)

    def answered(self, ticket: int) -> None:
        """Record that the server accepted the request, and restart the count.

        Later calls for the same ticket do nothing.
        """
        if ticket in self._undecided:
            self._undecided.discard(ticket)
            self._row.clear()
            self._any_answered = True

    def add(self, ticket: int, seed_id: str, reason: str, about_room: bool) -> bool:
        """Count a refusal. Returns True if the server probably refuses all requests.

        After the first answered request, a refusal because of the window is not counted, because only the refused
        prompt is too long for the window. The result stays False until all requests that were sent before the first
        counted refusal have ended, because these requests may still succeed.
        """
        self._undecided.discard(ticket)
        if about_room and self._any_answered:
            return False
        words = _VARYING_WORDS.sub("#", reason)
        if words != self._words or not self._row:
            self._words, self._row, self._row_began = words, set(), self._last
        self._row.add(seed_id)
        return len(self._row) >= ENOUGH_REFUSALS and not any(ticket <= self._row_began for ticket in self._undecided)
