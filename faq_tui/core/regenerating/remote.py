"""Asking a source's servers: at their speed, through their faults, in the order of the seeds."""

from __future__ import annotations

import asyncio
import itertools
import re
from contextlib import ExitStack
from dataclasses import replace

from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.endpoints import Client, Pool, Reply, look, run_bounded, stream_chat
from faq_tui.core.endpoints.faults import RequestFault, explain
from faq_tui.core.endpoints.pool import DOWN_AFTER, Server
from faq_tui.core.endpoints.probe import DownError, reachable
from faq_tui.core.endpoints.retry import backoff
from faq_tui.core.endpoints.window import LEAST_TOKENS, is_about_room, prompt_fills_window, room, window_told
from faq_tui.core.regenerating.candidate_requests import PendingCandidate, Question, question_for
from faq_tui.core.regenerating.recorder import (
    CandidateRecorder,
    RequestPolicy,
    better_candidate,
    first_request,
    next_request,
)
from faq_tui.core.run.events import CandidateDelta, CandidateRetried, CandidateStarted, Note
from faq_tui.core.settings import Source

SENT, LEFT_OUT, HALVED = range(3)  # how a request limits the answer: by max_tokens, not at all, by half of it
LANES = 2  # tasks for each slot: those that wait for their next try leave no slot empty


class _GaveUpError(Exception):
    """This candidate cannot be had; others may."""


class RemoteGenerator:
    """All the requests to the servers of one source."""

    def __init__(self, keeper: CandidateRecorder) -> None:
        self.keeper, self.source, self.context = keeper, keeper.source, keeper.context
        self.emit = self.context.emit
        self.refused = SharedRefusals()
        self._told: set[str] = set()

    def __call__(self, wanted: list[PendingCandidate]) -> None:
        """Ask for all of them. Raises EndpointError, FaqError or Stopped; what is finished is stored."""
        asyncio.run(self._all(wanted))

    async def _all(self, wanted: list[PendingCandidate]) -> None:
        each: list[Source] = [
            reachable(self.context, self.source.model_copy(update={"base_url": url, "also_at": ()}))
            for url in self.source.urls
        ]
        self.pool = Pool([Client(source) for source in each], lambda text: self.emit(Note(text, "warning")))
        with ExitStack() as stack:
            stack.callback(self.pool.close)
            await self._look()
            slots = sum(server.concurrency for server in self.pool.servers)
            await run_bounded(wanted, self._one, min(len(wanted), LANES * slots), self.context.cancel)

    async def _look(self) -> None:
        """At every server; those that are down are asked later if another one answers."""
        servers = self.pool.servers
        looks = (look(server.client, server.client.endpoint, self.context.cancel) for server in servers)
        found = await asyncio.gather(*looks, return_exceptions=True)
        errors = [error for error in found if isinstance(error, BaseException)]
        for error in errors:
            if not isinstance(error, EndpointError) or len(errors) == len(servers):
                raise error
        for server, served in zip(servers, found, strict=True):
            if isinstance(served, DownError):
                server.misses = DOWN_AFTER - 1
                self.pool.failed(server, RequestFault(True, "down", str(served), True, connected=False), 0.0)
            elif isinstance(served, BaseException):
                self.pool.leave_out(server, str(served))
            else:
                server.max_model_len = served.max_model_len

    async def _one(self, wanted: PendingCandidate) -> None:
        ask, requests = first_request(self.source, wanted.number), 0
        question = question_for(wanted.seed, self.source)
        best, last = None, None
        try:
            while True:
                tries = _CandidateRequest(self, wanted, question, ask)
                try:
                    reply, limit = await tries.reply()
                finally:
                    requests += tries.requests
                found = self.keeper.candidate(wanted, reply, ask, limit, requests)
                best = found if best is None else replace(better_candidate(best, found), requests=requests)
                again = next_request(self.source, ask, found)
                if again is None or (again.max_tokens > ask.max_tokens and tries.way != SENT):
                    break  # there is no more room than it had
                self.emit(CandidateRetried(wanted.seed.id, self.keeper.name, wanted.number, 1, 0.0, again.again))
                ask = again
        except _GaveUpError as error:
            last = str(error)
        if best is not None:
            self.keeper.keep(best)
        elif last is not None:
            self.keeper.fail(wanted, last, requests)

    def tell_once(self, about: str, text: str) -> None:
        if about not in self._told:
            self._told.add(about)
            self.emit(Note(text, "warning"))


class _CandidateRequest:
    """The requests for one answer, until it is whole."""

    def __init__(
        self, asking: RemoteGenerator, wanted: PendingCandidate, question: Question, ask: RequestPolicy
    ) -> None:
        self._asking, self._wanted, self._question, self._ask = asking, wanted, question, ask
        self._pool, self._emit, self._source = asking.pool, asking.emit, asking.source
        self._who = (wanted.seed.id, asking.keeper.name, wanted.number)
        self.way = SENT  # how the latest request limited the answer
        self._ticket = 0  # of the request under way, in the count of refusals
        self._failures = 0
        self._begun = asyncio.get_running_loop().time()
        self.requests = 0

    async def reply(self) -> tuple[Reply, int]:
        """The answer, and its limit in tokens. Raises _GaveUpError, EndpointError, FaqError."""
        while True:
            server = await self._pool.take(self._wanted.order)
            began = asyncio.get_running_loop().time()
            try:
                limit = self._limit(server)
                self.requests += 1
                reply = await self._request(server, limit)
                self._pool.succeeded(server)
                return reply, limit
            except Exception as error:  # noqa: BLE001  what is no request's fault is raised again there
                wait = self._after(error, server, began)
            finally:
                self._asking.refused.close(self._ticket)
                self._pool.give(server)
            await asyncio.sleep(wait)

    async def _request(self, server: Server, limit: int) -> Reply:
        self._emit(CandidateStarted(*self._who))
        self._ticket = self._asking.refused.open()
        reply = await self._stream(server, limit)
        self._asking.refused.answered(self._ticket)
        return reply

    def _heard(self, reasoning: str, answer: str) -> None:
        self._asking.refused.answered(self._ticket)
        self._emit(CandidateDelta(*self._who, reasoning, answer))

    async def _stream(self, server: Server, limit: int) -> Reply:
        return await stream_chat(
            server.client,
            self._source.model,
            self._question.messages,
            self._source.sampling.model_copy(update={"max_tokens": limit}),
            self._ask.sampling_seed,
            self._question.extra,
            self._heard,
            cut_here=self.way == LEFT_OUT,
        )

    def _limit(self, server: Server) -> int:
        """Tokens that the answer may have.

        Where the window may have no room for them beside the prompt, max_tokens is left out of the request: only the
        server can count the prompt, and it gives the answer what is left.
        """
        wanted = self._ask.max_tokens
        if self.way == HALVED:
            return max(LEAST_TOKENS, min(wanted, server.max_model_len or wanted) // 2)
        left = room(server.max_model_len, self._question.messages)
        if self.way == SENT and left is not None and left < wanted:
            self.way = LEFT_OUT
            self._asking.tell_once(
                f"{server.url} {wanted}",
                f"{server.url}: max_tokens {wanted} and the question do not fit into its window of "
                f"{server.max_model_len} tokens: max_tokens is left out of such requests, and the answer may end at "
                "the window",
            )
        return wanted

    def _after(self, error: Exception, server: Server, began: float) -> float:
        """Seconds until the next try; raises where there is none."""
        fault = explain(error, server.client.endpoint)
        if fault is None:
            raise error
        if fault.of_request:
            return self._refused(fault, str(error), server)
        if not fault.retry and not fault.unreachable:
            raise FaqError(fault.advice) from None
        self._pool.failed(server, fault, began)
        if not fault.retry:
            return 0.0  # another server is asked
        self._failures += 1
        if self._failures > self._source.retries:
            if fault.unreachable and self._pool.last_success < self._begun:
                raise EndpointError(f"{fault.advice}; finished candidates are kept") from None
            raise _GaveUpError(fault.reason) from None
        wait = fault.wait_s if fault.wait_s is not None else backoff(self._failures, self._source.retry_wait_s)
        if (fault.busy or not fault.connected) and self._pool.has_another(server):
            wait = 0.0
        self._emit(CandidateRetried(*self._who, self._failures, round(wait, 2), fault.reason))
        return wait

    def _refused(self, fault: RequestFault, message: str, server: Server) -> float:
        """After a refusal of this request; 0 where it is sent in another way. Raises _GaveUpError or FaqError."""
        about_room, fills = is_about_room(message), prompt_fills_window(message)
        if server.max_model_len is None:
            server.max_model_len = window_told(message)
        if about_room and not fills and self.way != HALVED:
            self.way += 1
            return 0.0
        if self._asking.refused.add(self._ticket, self._wanted.seed.id, fault.reason, about_room):
            raise FaqError(fault.advice) from None
        no_room = "the question leaves no room for an answer in the model's window"
        raise _GaveUpError(f"{no_room} ({fault.reason})" if fills else fault.advice) from None


ENOUGH = 8  # seeds refused alike in a row

_VARYING_WORDS = re.compile(r"\S*\d\S*")  # counts of tokens, ids of requests


class SharedRefusals:
    """Counts the seeds whose requests were refused alike, with no request answered between them."""

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._undecided: set[int] = set()
        self._row: set[str] = set()
        self._words = ""
        self._last = self._row_began = 0
        self._any_answered = False

    def open(self) -> int:
        """A ticket for a request that is sent now."""
        self._last = next(self._tickets)
        self._undecided.add(self._last)
        return self._last

    def close(self, ticket: int) -> None:
        """The request is over, with any result."""
        self._undecided.discard(ticket)

    def answered(self, ticket: int) -> None:
        """The server took the request. It ends the row once, since an answer may stream on for minutes."""
        if ticket in self._undecided:
            self._undecided.discard(ticket)
            self._row.clear()
            self._any_answered = True

    def add(self, ticket: int, seed_id: str, reason: str, about_room: bool) -> bool:
        """Count a refusal; True if another request would be refused, too.

        A refusal about the window concerns one prompt as soon as any other was answered, and is not counted then. The
        row is not complete while a request is undecided that was sent before the row's first refusal came.
        """
        self._undecided.discard(ticket)
        if about_room and self._any_answered:
            return False
        words = _VARYING_WORDS.sub("#", reason)
        if words != self._words or not self._row:
            self._words, self._row, self._row_began = words, set(), self._last
        self._row.add(seed_id)
        return len(self._row) >= ENOUGH and not any(ticket <= self._row_began for ticket in self._undecided)
