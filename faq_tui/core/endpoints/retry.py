"""Trying again: exponential backoff with jitter, and what the server asks for in Retry-After."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from faq_tui.core.endpoints.faults import Fault, explain
from faq_tui.core.errors import EndpointError, FaqError
from faq_tui.core.settings import Endpoint

T = TypeVar("T")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0


class GaveUpError(Exception):
    """One request failed for good, others may not: `fault` says why."""

    def __init__(self, fault: Fault) -> None:
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
                wait = fault.wait_s if fault.wait_s is not None else _backoff(attempt)
                if on_retry:
                    on_retry(attempt, round(wait, 2), fault.reason)
                await asyncio.sleep(wait)


def _backoff(attempt: int) -> float:
    """Doubling, with jitter of half on either side so that many streams do not come back at once."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.5)
