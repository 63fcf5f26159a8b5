"""The loop that retries a failed request.

The loop decides which faults are retried, how often, and after what wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from faq_tui.core.base.errors import FaqError
from faq_tui.core.endpoints.faults import RequestFault, backoff, explain
from faq_tui.core.endpoints.pool import Pool, Server
from faq_tui.core.settings import Endpoint

# If a request fails because its server is down, the first FREE_OUTAGES failures do not use up a try. Later failures
# do use up tries, because the request itself may crash its server.
FREE_OUTAGES = 3

T = TypeVar("T")


class GaveUpError(Exception):
    """This request has failed, and it will not be sent again. Other requests may succeed."""

    def __init__(self, fault: RequestFault, reason: str = "") -> None:
        super().__init__(fault.advice)
        self.fault, self.reason = fault, reason or fault.reason


class HasEndpoint(Protocol):
    @property
    def endpoint(self) -> Endpoint: ...


S = TypeVar("S", bound=HasEndpoint)


class Servers(Protocol[S]):
    """Chooses the server for each try, and adapts to the results of the requests. `Pool` implements it."""

    async def take(self, order: int) -> S: ...
    def give(self, server: S) -> None: ...
    def succeeded(self, server: S) -> None: ...
    def failed(self, server: S, fault: RequestFault, began: float) -> None:
        """Adapt to a failed request. Raises EndpointError if no server is left."""

    def is_out(self, server: S) -> bool:
        """True if the server gets no more requests."""

    async def is_down(self, server: S, fault: RequestFault, began: float) -> bool:
        """True if a request failed because its server is down. The request was sent at the time `began`."""

    def stopped_answering(self, server: S, fault: RequestFault, since: float) -> bool:
        """True if the server has answered no request since the time `since`.

        If the result is True, requests wait until the server answers.
        """

    def has_another(self, server: S) -> bool: ...


async def with_retries(
    request: Callable[[S], Awaitable[T]],
    servers: Servers[S],
    endpoint: Endpoint,
    order: int = 0,
    on_retry: Callable[[int, float, str], None] | None = None,
    on_refusal: Callable[[S, RequestFault, str], None] | None = None,
) -> T:
    """Await `request(server)`. If the request fails, send it again.

    The request is sent again as long as tries are left and another try can help. `endpoint` sets the number of tries
    and the first wait. `on_retry(attempt, wait_s, reason)` is called before each further try. `on_refusal(server,
    fault, message)` is called if the server refuses only this request. `on_refusal` must change the request or raise
    an exception. A changed request is sent again at once.

    If the server is down, the first `FREE_OUTAGES` failures do not use up a try. For these failures, `on_retry` gets
    0 as `attempt`. If all tries are used up because the server has stopped answering, the request waits. When the
    server answers again, the count of tries starts anew.

    Raises GaveUpError if the tries are used up, EndpointError if no server is left, and FaqError if no
    further try can help.
    """
    failures, outages, waited, first_failure = 0, 0, False, 0.0
    while True:
        server = await servers.take(order)
        began = asyncio.get_running_loop().time()
        wait = 0.0
        try:
            result = await request(server)
            servers.succeeded(server)
            return result
        except Exception as error:
            fault = explain(error, server.endpoint)
            if fault is None:
                raise
            if fault.of_request and on_refusal is not None:
                on_refusal(server, fault, str(error))
            elif not fault.retry and not fault.unreachable:
                raise FaqError(fault.advice) from None
            else:
                servers.failed(server, fault, began)
                # If the server gets no more requests, the request is sent to another server at once.
                if fault.retry or not servers.is_out(server):
                    is_free = outages < FREE_OUTAGES and await servers.is_down(server, fault, began)
                    outages, failures = outages + is_free, failures + (not is_free)
                    if failures <= 1:
                        first_failure = asyncio.get_running_loop().time()
                    if failures > endpoint.retries:
                        if waited or not servers.stopped_answering(server, fault, first_failure):
                            raise GaveUpError(fault) from None
                        failures, waited = 0, True
                    elif not is_free:
                        wait = fault.wait_s if fault.wait_s is not None else backoff(failures, endpoint.retry_wait_s)
                    if (fault.busy or not fault.connected) and servers.has_another(server):
                        wait = 0.0
                    if on_retry:
                        on_retry(0 if is_free else failures, round(wait, 2), fault.reason)
        finally:
            servers.give(server)
        await asyncio.sleep(wait)


class Retrying:
    """Calls `with_retries` for the requests to one endpoint. The pool holds the servers of this endpoint."""

    def __init__(self, endpoint: Endpoint, pool: Pool) -> None:
        self._endpoint, self._pool = endpoint, pool

    async def __call__(self, request: Callable[[Server], Awaitable[T]]) -> T:
        """Send the request to a server of the pool, with retries. Raises the same errors as `with_retries`.

        If other requests succeeded in the meantime, the server can certainly be reached, so the fault in a
        GaveUpError is not marked as `unreachable`.
        """
        begun = asyncio.get_running_loop().time()
        try:
            return await with_retries(request, self._pool, self._endpoint)
        except GaveUpError as gave_up:
            if self._pool.last_success < begun:
                raise
            raise GaveUpError(replace(gave_up.fault, unreachable=False), gave_up.reason) from None
