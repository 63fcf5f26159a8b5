"""Trying again: exponential backoff with full jitter, and what the server asks for in Retry-After."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.endpoints.faults import RequestFault, explain
from faq_tui.core.settings import Endpoint

T = TypeVar("T")
LONGEST_WAIT_S = 60.0


class GaveUpError(Exception):
    """One request failed for good, others may not: `fault` says why."""

    def __init__(self, fault: RequestFault) -> None:
        super().__init__(fault.advice)
        self.fault = fault


class Retrying:
    """Runs a request until it succeeds, its tries are used up, or another try cannot help."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def __call__(
        self, request: Callable[[], Awaitable[T]], on_retry: Callable[[int, float, str], None] | None = None
    ) -> T:
        """The request's result. `on_retry(attempt, wait_s, reason)` is told of every further try.

        Raises GaveUpError when the tries are used up, EndpointError or FaqError when no try can help.
        """
        attempt = 0
        while True:
            try:
                return await request()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                fault = explain(error, self.endpoint)
                if fault is None:
                    raise
                if not fault.retry:
                    raise (EndpointError if fault.unreachable else FaqError)(fault.advice) from None
                attempt += 1
                if attempt > self.endpoint.retries:
                    raise GaveUpError(fault) from None
                wait = fault.wait_s if fault.wait_s is not None else backoff(attempt, self.endpoint.retry_wait_s)
                if on_retry:
                    on_retry(attempt, round(wait, 2), fault.reason)
                await asyncio.sleep(wait)


def backoff(attempt: int, first_s: float) -> float:
    """Seconds before try `attempt` + 1: anything up to `first_s`, doubled with each try.

    Full jitter spreads clients that failed together best.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return random.uniform(0.0, min(LONGEST_WAIT_S, first_s * 2.0 ** min(attempt - 1, 30)))
