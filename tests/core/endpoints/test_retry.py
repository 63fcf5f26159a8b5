"""The one loop that repeats requests: what is tried again, on which server, after how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.endpoints.client import StatusError
from faq_tui.core.endpoints.faults import RequestFault
from faq_tui.core.endpoints.retry import GaveUpError, with_retries
from faq_tui.core.settings import Endpoint

ENDPOINT = Endpoint(base_url="http://127.0.0.1:9/v1", model="m", retries=2, retry_wait_s=1.0)
BUSY, REFUSED, NO_KEY = StatusError(503, "busy", "7"), StatusError(400, "too long"), StatusError(401, "no key")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait, none of which is waited for."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("faq_tui.core.endpoints.retry.asyncio.sleep", sleep)
    return waited


class OneServer:
    """The only server of an endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def take(self, order: int) -> OneServer:
        return self

    def give(self, server: object) -> None:
        pass

    def succeeded(self, server: object) -> None:
        pass

    def failed(self, _server: object, fault: RequestFault, _began: float) -> None:
        if not fault.retry:
            raise EndpointError(fault.advice)

    def is_out(self, _server: object) -> bool:
        return True

    async def is_down(self, _server: object, _fault: RequestFault, _began: float) -> bool:
        return False

    def stopped_answering(self, _server: object, _fault: RequestFault, _since: float) -> bool:
        return False

    def has_another(self, _server: object) -> bool:
        return False


class Recorded(OneServer):
    """Records what the loop does; `another`: whether a second server takes requests."""

    def __init__(self, another: bool = False) -> None:
        super().__init__(ENDPOINT)
        self.calls: list[str] = []
        self.another = another

    async def take(self, order: int) -> Recorded:
        self.calls.append(f"take {order}")
        return self

    def give(self, server: object) -> None:
        self.calls.append("give")

    def succeeded(self, server: object) -> None:
        self.calls.append("succeeded")

    def failed(self, server: object, fault: RequestFault, began: float) -> None:
        self.calls.append("failed")
        if not self.another:
            super().failed(server, fault, began)

    def has_another(self, server: object) -> bool:
        return self.another


def failing(*errors: Exception) -> Callable[..., object]:
    """A request that fails with these errors, one after the other, and then succeeds."""
    left = list(errors)

    async def request(*_server: object) -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return request


def run(servers: OneServer, *errors: Exception, **options: object) -> object:
    return asyncio.run(with_retries(failing(*errors), servers, ENDPOINT, 3, **options))  # type: ignore[arg-type]


def test_a_server_learns_from_a_failure_before_its_slot_is_free(waits: list[float]) -> None:
    servers, told = Recorded(), []
    assert run(servers, BUSY, on_retry=lambda *about: told.append(about)) == "answer"
    assert servers.calls == ["take 3", "failed", "give", "take 3", "succeeded", "give"]
    assert waits == [7.0] and told == [(1, 7.0, "HTTP 503 busy")]


def test_another_server_is_asked_at_once(waits: list[float]) -> None:
    servers = Recorded(another=True)
    assert run(servers, BUSY, NO_KEY, ConnectionRefusedError(111, "refused")) == "answer"
    assert waits == [0.0, 0.0, 0.0] and servers.calls.count("failed") == 3


def test_tries_are_used_up(waits: list[float]) -> None:
    servers = Recorded()
    with pytest.raises(GaveUpError, match="keeps answering HTTP 503") as gave_up:
        run(servers, BUSY, BUSY, BUSY)
    assert gave_up.value.fault.unreachable and gave_up.value.reason == "HTTP 503 busy"
    assert len(waits) == 2 and servers.calls[-2:] == ["failed", "give"]


def test_a_refused_request_is_changed_and_sent_at_once_or_ends(waits: list[float]) -> None:
    changed: list[str] = []
    refusals = [REFUSED] * 5  # more than there are retries: a changed request is no retry
    assert run(Recorded(), *refusals, on_refusal=lambda _s, _f, text: changed.append(text)) == "answer"
    assert changed == ["HTTP 400 too long"] * 5 and waits == [0.0] * 5

    def end(_server: object, fault: RequestFault, _message: str) -> None:
        raise GaveUpError(fault, "no room")

    servers = Recorded()
    with pytest.raises(GaveUpError) as gave_up:
        run(servers, REFUSED, on_refusal=end)
    assert gave_up.value.reason == "no room" and servers.calls == ["take 3", "give"]
    with pytest.raises(FaqError, match="refused the request") as refused:
        run(Recorded(), REFUSED)
    assert type(refused.value) is FaqError


def test_one_endpoint_has_no_other_server(waits: list[float]) -> None:
    assert run(OneServer(ENDPOINT), BUSY) == "answer"
    with pytest.raises(EndpointError, match="refused a request without a key"):
        run(OneServer(ENDPOINT), NO_KEY)
    assert waits == [7.0]


def test_other_errors_pass(waits: list[float]) -> None:
    for error in (FaqError("x"), KeyError("x"), asyncio.CancelledError()):
        servers = Recorded()
        with pytest.raises(type(error)):
            run(servers, error)  # type: ignore[arg-type]
        assert servers.calls == ["take 3", "give"] and not waits
