"""Decide how many requests run concurrently, and which server of a source gets each request.

Each server has a limit of concurrent requests. A limit of n rises by one after n successful requests, and is halved
when the server asks for fewer requests (AIMD, as in TCP). It never exceeds `concurrency`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError
from faq_tui.core.endpoints.client import Client
from faq_tui.core.endpoints.faults import RequestFault, backoff
from faq_tui.core.settings import Endpoint

T = TypeVar("T")

POLL_S = 0.1  # time between two checks for a cancel
DOWN_AFTER = 3  # failed connections in a row after which a server is down, if another server works
FIRST_PAUSE_S = 2.0


class Server:
    """The server of one base URL: its limit of concurrent requests, and whether it is down."""

    def __init__(self, client: Client, concurrency: int) -> None:
        self.client = client
        self.concurrency = concurrency
        self.limit = float(concurrency)
        self.in_flight = 0
        self.out = False  # True if the server gets no more requests in this run
        self.misses = 0  # number of failed connections in a row
        self.paused_until = 0.0  # end of the pause, by the event loop's clock
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
    def free(self) -> int:
        return 0 if self.out else max(1, int(self.limit)) - self.in_flight

    def succeeded(self) -> None:
        self.misses = 0
        self._successes += 1
        if self._successes >= self.limit:
            self._successes, self.limit = 0, min(float(self.concurrency), self.limit + 1)

    def lower(self, began: float, now: float) -> None:
        """Halve the limit. Several requests that were under way at the same time halve it only once."""
        if began >= self._lowered:
            self.limit, self._lowered, self._successes = max(1.0, self.limit / 2), now, 0


class Pool:
    """Hands out the servers' slots for requests. The waiting request with the lowest `order` is served first."""

    def __init__(self, clients: Sequence[Client], say: Callable[[str], None]) -> None:
        """`say` is called with a sentence when a server is left out, and when it answers again."""
        self.servers = [Server(client, client.endpoint.concurrency) for client in clients]
        self.last_success = float("-inf")  # time of the last success, by the event loop's clock
        self._say = say
        self._waiting: list[tuple[int, int, asyncio.Future[Server]]] = []
        self._ticket = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, order: int) -> Server:
        """Wait for a free slot and return its server. The caller returns the slot with `give`."""
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

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def succeeded(self, server: Server) -> None:
        if server.misses >= DOWN_AFTER and len(self.servers) > 1:
            self._say(f"{server.url} answers again")
        server.succeeded()
        server.paused_until = 0.0
        self.last_success = self._now()

    def failed(self, server: Server, fault: RequestFault, began: float) -> None:
        """Adapt the server's limit after a failed request, which was sent at `began` (by the event loop's clock).

        Raises EndpointError if no server is left.
        """
        now = self._now()
        if not fault.retry and fault.unreachable:
            self.leave_out(server, fault.advice)
            return
        if fault.busy or not fault.connected:
            server.lower(began, now)
        if fault.busy and fault.wait_s:
            server.paused_until = max(server.paused_until, now + fault.wait_s)
        if fault.connected:
            server.misses = 0
            return
        server.misses += 1
        if server.misses >= DOWN_AFTER and self._others(server):
            server.paused_until = now + FIRST_PAUSE_S + backoff(server.misses - DOWN_AFTER + 1, FIRST_PAUSE_S)
            if server.misses == DOWN_AFTER:
                self._say(f"{fault.advice.partition(': is the server')[0]}; going on with the other servers")

    def leave_out(self, server: Server, advice: str) -> None:
        """Send no more requests to the server. Raises EndpointError if it was the last one."""
        server.out = True
        if all(s.out for s in self.servers):
            raise EndpointError(advice)
        self._say(f"{advice}; going on with the other servers")

    def has_another(self, server: Server) -> bool:
        """True if another server takes requests now."""
        return any(s.paused_until <= self._now() for s in self._others(server))

    def _others(self, server: Server) -> list[Server]:
        return [s for s in self.servers if s is not server and not s.out and s.misses < DOWN_AFTER]

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
        """Hand out slots again when the first pause of a server ends. Returned slots are handed out at once."""
        paused = [s.paused_until for s in self.servers if s.free > 0 and s.paused_until > now]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if paused:
            self._timer = asyncio.get_running_loop().call_at(min(paused), self._serve)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def run_bounded(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], limit: int, cancel: CancelToken
) -> None:
    """Await `work(item)` for each item. The calls start in the order of the items, and at most `limit` of them run
    at a time.


    The first exception cancels the other calls and is raised; a cancel raises `Stopped`.
    """
    waiting = iter(items)

    async def lane() -> None:
        for item in waiting:
            await work(item)

    lanes = [asyncio.create_task(lane()) for _ in range(limit)]
    try:
        pending = set(lanes)
        while pending:
            done, pending = await asyncio.wait(pending, timeout=POLL_S, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            cancel.check()
    finally:
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
