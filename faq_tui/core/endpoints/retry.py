"""The loop that retries a failed request. It decides which faults are retried, how often, and after what wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, Self, TypeVar

from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.endpoints.faults import RequestFault, backoff, explain
from faq_tui.core.settings import Endpoint

T = TypeVar("T")


class GaveUpError(Exception):
    """This request has failed, and no further try is made. Other requests may succeed."""

    def __init__(self, fault: RequestFault, reason: str = "") -> None:
        super().__init__(fault.advice)
        self.fault, self.reason = fault, reason or fault.reason


class HasEndpoint(Protocol):
    @property
    def endpoint(self) -> Endpoint: ...


S = TypeVar("S", bound=HasEndpoint)


class Servers(Protocol[S]):
    """Hands out the server for each try, and adapts to the results. `Pool` is an implementation."""

    async def take(self, order: int) -> S: ...
    def give(self, server: S) -> None: ...
    def succeeded(self, server: S) -> None: ...
    def failed(self, server: S, fault: RequestFault, began: float) -> None:
        """Adapt to a failed request. Raises EndpointError if no server is left."""

    def has_another(self, server: S) -> bool: ...


async def with_retries(
    request: Callable[[S], Awaitable[T]],
    servers: Servers[S],
    endpoint: Endpoint,
    order: int = 0,
    on_retry: Callable[[int, float, str], None] | None = None,
    on_refusal: Callable[[S, RequestFault, str], None] | None = None,
) -> T:
    """Await `request(server)` until it succeeds, its tries are used up, or another try cannot help.

    `endpoint` sets the number of tries and the first wait. `on_retry(attempt, wait_s, reason)` is called before each
    further try. `on_refusal(server, fault, message)` is called if the server refuses only this request. It may
    change the request; then the request is sent again at once. Otherwise it raises an exception.

    Raises GaveUpError if the tries are used up, EndpointError if no server can be asked, FaqError if no try can help.
    """
    failures = 0
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
                if fault.retry:  # if not, another server gets the request at once
                    failures += 1
                    if failures > endpoint.retries:
                        raise GaveUpError(fault) from None
                    wait = fault.wait_s if fault.wait_s is not None else backoff(failures, endpoint.retry_wait_s)
                    if (fault.busy or not fault.connected) and servers.has_another(server):
                        wait = 0.0
                    if on_retry:
                        on_retry(failures, round(wait, 2), fault.reason)
        finally:
            servers.give(server)
        await asyncio.sleep(wait)


class OneServer:
    """The server of one endpoint. The number of concurrent requests is not limited here; the caller limits it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def take(self, _order: int) -> Self:
        return self

    def give(self, server: object) -> None:
        pass

    def succeeded(self, server: object) -> None:
        pass

    def failed(self, _server: object, fault: RequestFault, _began: float) -> None:
        if not fault.retry:
            raise EndpointError(fault.advice)

    def has_another(self, _server: object) -> bool:
        return False


class Retrying:
    """Calls `with_retries` for requests to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._server = OneServer(endpoint)

    async def __call__(
        self, request: Callable[[], Awaitable[T]], on_retry: Callable[[int, float, str], None] | None = None
    ) -> T:
        """Await the request with retries. Raises the same errors as `with_retries`."""
        return await with_retries(lambda _server: request(), self._server, self._server.endpoint, on_retry=on_retry)
