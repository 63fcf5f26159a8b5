"""An answer that drips is given up, and one that is slow is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faq_tui.core.endpoints import Client, client, pace, stream_chat
from faq_tui.core.endpoints.transport import IdleError
from faq_tui.core.settings import Endpoint, Sampling
from tests.support.fake_server import Behaviour, FakeServer

MESSAGES = [{"role": "user", "content": "Why?"}]
LETTERS = "abcdefghijklmnopqrstuvwxyz" * 3


@pytest.fixture(autouse=True)
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer must grow by LEAST_CHARACTERS in 1 s, and each part of it may take ten times as long."""
    monkeypatch.setattr(client, "IDLE_TIMES", 0.1)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


async def answer(server: FakeServer, behaviour: Behaviour, **sampling: int) -> str:
    server.behaviour = behaviour
    endpoint = Endpoint(base_url=server.url, model="fake-8b", idle_timeout_s=10)
    async with Client(endpoint) as asking:
        reply = await stream_chat(asking, "fake-8b", MESSAGES, Sampling(**sampling), 0, {})
    assert reply.finish_reason in ("stop", "length")
    return reply.answer


async def test_an_answer_that_drips_is_given_up(server: FakeServer) -> None:
    """Each letter comes within the idle time, so nothing else would end the request before the last of them."""
    with pytest.raises(IdleError, match=r"only \d+ characters of the answer came in 1 s"):
        await answer(server, Behaviour(reply=lambda _: LETTERS, piece=1, pieces_per_s=16))


async def test_a_slow_answer_is_read_to_its_end(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LEAST_CHARACTERS", 10)
    assert await answer(server, Behaviour(reply=lambda _: LETTERS[:30], piece=1, pieces_per_s=16)) == LETTERS[:30]


async def test_a_server_that_ignores_max_tokens_is_cut_off(server: FakeServer) -> None:
    whole = " ".join(str(number) for number in range(4000))
    found = await answer(server, Behaviour(reply=lambda _: whole, piece=2, usage=False), max_tokens=100)
    assert whole.startswith(found) and 2 * 100 <= len(found) // 2 <= 2 * 100 + 256
