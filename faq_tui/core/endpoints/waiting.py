"""Notice that a server is down, and probe it until it answers again.

A failed request does not prove that its server is down, so a probe is sent: a request for the list of models. While a
server is down, one task sends probes to it, and no other requests are sent. The time between two probes grows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from faq_tui.core.base.errors import EndpointError
from faq_tui.core.endpoints.client import Client, StatusError
from faq_tui.core.endpoints.faults import GATEWAY_STATUS, RequestFault, explain
from faq_tui.core.endpoints.probe import PROBE_TIMEOUT_S, ServerDescription, look

FIRST_PROBE_S, LONGEST_PROBE_S = 1.0, 30.0  # the shortest and the longest time between two probes
PROBES_WITHIN_PATIENCE = 20  # longest time between two probes: `patience_s` divided by this number, but at least 1 s
CHAT_TIMEOUT_S = 30.0  # time limit for a probe that requests an answer


@dataclass
class Outage:
    """A period in which a server is down. Times are unix seconds."""

    since: float
    reason: str
    advice: str  # a sentence that tells the user what to check
    next_probe: float


class Watch:
    """Watches one server.

    `outage` is None while the server is up. After an outage, `description` holds the server's description of itself.
    If the server refuses the key or serves another model after an outage, `refusal` is the error, and no later
    request to this server can succeed.
    """

    def __init__(self, client: Client, on_change: Callable[[], None]) -> None:
        """`on_change` is called when an outage begins, when a probe fails, and when the outage ends."""
        self.client = client
        self.outage: Outage | None = None
        self.description: ServerDescription | None = None
        self.refusal: Exception | None = None
        self._on_change = on_change
        # end of the last outage; this time and `_check_began` are from the event loop's clock
        self._ended = float("-inf")
        self._check: asyncio.Task[None] | None = None
        self._check_began = 0.0
        self._probes: asyncio.Task[None] | None = None

    async def is_down(self, began: float) -> bool:
        """True if the server is down, or was down after the time `began`.

        `began` is the time at which the failed request was sent.
        """
        now = asyncio.get_running_loop().time()
        while self.outage is None and self._ended < began:
            if self._check is None or self._check.done():
                self._check_began = asyncio.get_running_loop().time()
                self._check = asyncio.create_task(self._confirm())
            is_new = self._check_began >= now  # a check that began earlier may have found the server still up
            check = self._check
            await asyncio.wait([check])  # with `await check`, cancelling this task would also cancel the check
            if check.cancelled():
                break
            check.result()  # if the check failed with an unexpected error, raise it
            if is_new:
                break
        return self.outage is not None or self._ended >= began

    def begin(self, fault: RequestFault, ask_for_answer: bool = False) -> None:
        """Begin an outage, unless the server is already down.

        With `ask_for_answer`, the outage ends only when the server answers a short chat request. Some gateways list
        models even while the server behind them is down.
        """
        if self.outage is None:
            now = time.time()
            self.outage = Outage(now, fault.reason, fault.advice, now)
            self._probes = asyncio.create_task(self._probe_until_up(ask_for_answer))

    def end(self) -> None:
        """End the outage, because the server has answered."""
        if self.outage is not None:
            self.outage, self._ended = None, asyncio.get_running_loop().time()
            if self._probes is not None and self._probes is not asyncio.current_task():
                self._probes.cancel()
            self._on_change()

    def close(self) -> None:
        for task in (self._check, self._probes):
            if task is not None:
                task.cancel()

    async def _confirm(self) -> None:
        fault = await fault_of_probe(self.client)
        if fault is not None:
            self.begin(fault)

    async def _probe_until_up(self, ask_for_answer: bool) -> None:
        longest = min(LONGEST_PROBE_S, self.client.endpoint.patience_s / PROBES_WITHIN_PATIENCE)
        wait = FIRST_PROBE_S
        while self.outage is not None:
            self.outage.next_probe = time.time() + wait
            self._on_change()
            await asyncio.sleep(wait)
            try:
                if await self._answers(ask_for_answer):
                    self.end()
            except Exception as error:  # noqa: BLE001  the requests that wait for this task must get its error
                self.refusal = error
                self.end()
            wait = min(wait * 2, max(longest, FIRST_PROBE_S))

    async def _answers(self, ask_for_answer: bool) -> bool:
        """True if the server is up. Raises EndpointError if the server will never answer requests for the model."""
        fault = await fault_of_probe(self.client, ask_for_answer)
        if fault is None:
            try:
                self.description = await look(self.client, self.client.endpoint)
            except EndpointError as error:
                # the error has the attribute `fault` if the server is down again
                fault = getattr(error, "fault", None)
                if fault is None:
                    raise
        if fault is not None and self.outage is not None:
            self.outage.reason, self.outage.advice = fault.reason, fault.advice
        return fault is None


async def fault_of_probe(client: Client, ask_for_answer: bool = False) -> RequestFault | None:
    """Send one probe. Returns None if the server is up, even if it refuses to list its models."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await client.get_json("/models")
    except Exception as error:
        fault = explain(error, client.endpoint)
        if fault is None:
            raise
        if fault.retry and not (isinstance(error, StatusError) and error.status not in GATEWAY_STATUS):
            return fault
    if not ask_for_answer:
        return None
    body = {"model": client.endpoint.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    try:
        async with asyncio.timeout(CHAT_TIMEOUT_S), client.request("POST", "/chat/completions", body) as response:
            await response.json()
    except Exception as error:
        fault = explain(error, client.endpoint)
        if fault is None:
            raise
        return fault if fault.retry else None
    return None
