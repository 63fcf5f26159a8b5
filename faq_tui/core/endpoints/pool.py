"""Decide how many requests run at the same time, which server gets a request, and how long requests wait.

Each server has a limit of concurrent requests: its number of slots. If the limit is n, it rises by one after n
successful requests. If the server asks for fewer requests, its limit is halved. TCP uses the same method, which is
called AIMD. The limit is never above the setting `concurrency`.

A server that is down gets no requests until a probe of its `Watch` succeeds. If all servers stay down for longer than
`patience_s`, all requests fail.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError
from faq_tui.core.base.text import duration
from faq_tui.core.endpoints.answered import AnsweredServers
from faq_tui.core.endpoints.bounded import run_bounded
from faq_tui.core.endpoints.client import Client
from faq_tui.core.endpoints.faults import RequestFault
from faq_tui.core.endpoints.probe import DownError, ServerDescription, look
from faq_tui.core.endpoints.waiting import Watch
from faq_tui.core.run.events import Emit, Note, ServerBack, ServerWaiting
from faq_tui.core.settings import Endpoint

ENOUGH_REFUSALS = 8  # after this number of refusals in a row, a server gets no more requests


class Server:
    """The server at one base URL. A server has a limit of concurrent requests, and it can be down."""

    def __init__(
        self, client: Client, concurrency: int, on_change: Callable[[Server], None] = lambda _: None
    ) -> None:
        """`on_change` is called when the server goes down, when a probe fails, and when the server is up again."""
        self.client = client
        self.watch = Watch(client, lambda: on_change(self))
        self.down_since: float | None = None  # unix time of the start of the outage; None while the server is up
        self.concurrency = concurrency
        self.limit = float(concurrency)
        self.in_flight = 0
        self.out = False  # True if the server gets no more requests in this run
        self.refusals = 0  # number of refusals in a row for reasons that no retry can change, such as a wrong key

        # `last_success`, `paused_until` and `_lowered` are times of the event loop's clock
        self.last_success = float("-inf")
        self.paused_until = 0.0
        self.max_model_len: int | None = None
        self._successes = 0
        self._lowered = 0.0

    @property
    def endpoint(self) -> Endpoint:
        return self.client.endpoint

    @property
    def url(self) -> str:
        return self.endpoint.base_url

    @property
    def shown_url(self) -> str:
        return self.endpoint.shown_url

    @property
    def free(self) -> int:
        return max(1, int(self.limit)) - self.in_flight if self.is_up else 0

    @property
    def is_up(self) -> bool:
        return not self.out and self.watch.outage is None

    def succeeded(self) -> None:
        self.refusals = 0
        self._successes += 1
        if self._successes >= self.limit:
            self._successes, self.limit = 0, min(float(self.concurrency), self.limit + 1)

    def lower(self, began: float, now: float) -> None:
        """Halve the limit.

        If the server refuses several requests that ran at the same time, its limit is halved only once.
        """
        if began >= self._lowered:
            self.limit, self._lowered, self._successes = max(1.0, self.limit / 2), now, 0


class Pool:
    """Gives each request a slot of a server. The waiting request with the lowest `order` is served first."""

    def __init__(self, clients: Sequence[Client], emit: Emit, answered: AnsweredServers) -> None:
        """The settings of all clients must be the same, except for base_url."""
        self._answered = answered
        self.servers = [Server(client, client.endpoint.concurrency, self._changed) for client in clients]
        self.last_success = float("-inf")  # a time of the event loop's clock
        self._emit = emit
        self._patience_s = self.servers[0].endpoint.patience_s
        self._gives_up: float | None = None  # unix time at which all requests will fail; None while a server is up
        self._error: Exception | None = None  # the error that all requests get, if no request can succeed any more
        self._waiting: list[tuple[int, int, asyncio.Future[Server]]] = []
        self._ticket = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    async def look(self, cancel: CancelToken) -> None:
        """Ask each server for its models.

        A server that is down gets requests when it is up again. A server with another error gets no requests. If no
        server is up, the first error is raised. But if a server may come up later and the stage waits for it, nothing
        is raised.
        """
        looks = (look(server.client, server.endpoint, cancel) for server in self.servers)
        answers = await asyncio.gather(*looks, return_exceptions=True)
        errors = [error for error in answers if isinstance(error, BaseException)]
        waits = self._answered.waits_for(server.endpoint for server in self.servers)
        may_come_up = waits and any(isinstance(e, DownError) and not e.fault.unknown_host for e in errors)
        for error in errors:
            if not isinstance(error, EndpointError) or (len(errors) == len(answers) and not may_come_up):
                raise error
        for server, answer in zip(self.servers, answers, strict=True):
            if isinstance(answer, ServerDescription):
                server.max_model_len = answer.max_model_len or server.client.learned.current.window
            elif not isinstance(answer, DownError):
                self.leave_out(server, str(answer))
        for server, answer in zip(self.servers, answers, strict=True):
            if isinstance(answer, DownError):
                server.watch.begin(answer.fault)

    async def first_up(self, cancel: CancelToken) -> Server:
        """Wait until a server is up, and return it.

        Raises EndpointError. Raises Stopped as soon as a stop is requested.
        """
        found: list[Server] = []

        async def take(order: int) -> None:
            found.append(await self.take(order))
            self.give(found[0])

        await run_bounded([0], take, 1, cancel)
        return found[0]

    async def take(self, order: int) -> Server:
        """Wait for a free slot, and return its server. The caller must give the slot back with `give`.

        Raises EndpointError if no server is left, or if all servers were down for longer than `patience_s`.
        """
        if self._error is not None:
            raise self._error
        slot: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (order, next(self._ticket), slot))
        self._serve()
        try:
            return await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.give(slot.result())
            raise

    def give(self, server: Server) -> None:
        server.in_flight -= 1
        self._serve()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all probes."""
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
        for server in self.servers:
            server.watch.close()

    def succeeded(self, server: Server) -> None:
        self._answered.add(server.url)
        server.succeeded()
        server.paused_until = 0.0
        server.last_success = self.last_success = self._now()
        server.watch.end()

    def failed(self, server: Server, fault: RequestFault, began: float) -> None:
        """Adapt the server's limit after a failed request.

        `began` is the time at which the request was sent, by the event loop's clock.

        Raises EndpointError if no server is left.
        """
        now = self._now()
        if not fault.retry and fault.unreachable:
            server.refusals += 1
            if server.refusals >= ENOUGH_REFUSALS or server.last_success == float("-inf"):
                self.leave_out(server, fault.advice)
            return
        if fault.busy or not fault.connected:
            server.lower(began, now)
        if fault.busy and fault.wait_s:
            server.paused_until = max(server.paused_until, now + fault.wait_s)

    def is_out(self, server: Server) -> bool:
        """True if the server gets no more requests."""
        return server.out

    async def is_down(self, server: Server, fault: RequestFault, began: float) -> bool:
        """True if a request failed because the server is down.

        The request was sent at the time `began`. The method may send a probe to find out whether the server is down.
        """
        return server.out or (fault.may_be_down and await server.watch.is_down(began))

    def stopped_answering(self, server: Server, fault: RequestFault, since: float) -> bool:
        """True if the server has answered a request before the time `since`, but no request after this time.

        If the result is True, the server gets no more requests until it answers a probe. `since` is a time of the
        event loop's clock.
        """
        if not (self._patience_s and fault.unreachable and float("-inf") < server.last_success < since):
            return False
        server.watch.begin(fault, ask_for_answer=True)
        return True

    def leave_out(self, server: Server, advice: str) -> None:
        """Send no more requests to the server. Raises EndpointError if no other server is left."""
        server.out = True
        server.watch.close()
        if all(s.out for s in self.servers):
            raise EndpointError(advice)
        self._emit(Note(f"{advice}; going on with the other servers", "warning"))
        self._mind_patience()

    def has_another(self, server: Server) -> bool:
        """True if another server takes requests now."""
        return any(s.is_up and s is not server and s.paused_until <= self._now() for s in self.servers)

    def _changed(self, server: Server) -> None:
        """A server's `Watch` calls this method when an outage starts, when a probe fails, and when an outage ends."""
        watch, outage = server.watch, server.watch.outage
        if outage is not None:
            is_new = server.down_since is None
            server.down_since = outage.since
            self._mind_patience()
            if is_new and self._gives_up is None:
                short = outage.advice.partition(": is the server")[0]
                self._emit(Note(f"{short}; going on with the other servers", "warning"))
            waiting = (outage.reason, outage.since, outage.next_probe, self._gives_up)
            self._emit(ServerWaiting(server.shown_url, *waiting))
            return
        down_since, server.down_since = server.down_since, None
        if watch.refusal is not None:
            try:
                if not isinstance(watch.refusal, EndpointError):
                    raise watch.refusal
                self.leave_out(server, str(watch.refusal))
            except Exception as error:  # noqa: BLE001  the waiting requests get this error
                self._end(error)
            return
        self._emit(ServerBack(server.shown_url, round(time.time() - (down_since or time.time()), 1)))
        if watch.description is not None:
            server.max_model_len = watch.description.max_model_len or server.client.learned.current.window
        self._mind_patience()
        self._serve()

    def _mind_patience(self) -> None:
        """When the last server goes down, start the wait of `patience_s`. When a server is up, end the wait."""
        if any(server.is_up for server in self.servers):
            if self._patience is not None:
                self._patience.cancel()
            self._patience = self._gives_up = None
        elif self._patience is None:
            self._gives_up = time.time() + self._patience_s
            self._patience = asyncio.get_running_loop().call_later(self._patience_s, self._give_up)

    def _give_up(self) -> None:
        advice = next(server.watch.outage.advice for server in self.servers if server.watch.outage is not None)
        waited = f"; it stayed down for {duration(self._patience_s)} (patience_s)" if self._patience_s else ""
        self._end(EndpointError(f"{advice}{waited}; finished work is kept"))

    def _end(self, error: Exception) -> None:
        """End all waiting requests with `error`. Later requests get the same error at once."""
        self._error = error
        for server in self.servers:
            server.watch.close()
        for _order, _ticket, slot in self._waiting:
            if not slot.done():
                slot.set_exception(error)
        self._waiting.clear()

    def _serve(self) -> None:
        while self._waiting:
            if self._waiting[0][2].done():
                heapq.heappop(self._waiting)
                continue
            now = self._now()
            free = [s for s in self.servers if s.free > 0 and s.paused_until <= now]
            if not free:
                self._serve_later(now)
                return
            server = max(free, key=lambda s: s.free)
            server.in_flight += 1
            heapq.heappop(self._waiting)[2].set_result(server)

    def _serve_later(self, now: float) -> None:
        """Set a timer that calls `_serve` when the first server ends its pause.

        Servers without a free slot need no timer, because `give` calls `_serve` when a slot is returned.
        """
        paused = [s.paused_until for s in self.servers if s.free > 0 and s.paused_until > now]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if paused:
            self._timer = asyncio.get_running_loop().call_at(min(paused), self._serve)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
