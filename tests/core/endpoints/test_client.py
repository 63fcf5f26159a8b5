"""No API key follows a redirect to another host, and no reply to a listing is read without a limit."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from faq_tui.core.base.errors import EndpointError
from faq_tui.core.benchmarking import lm_eval_task, serving
from faq_tui.core.benchmarking.serving import listed
from faq_tui.core.endpoints import Client, chat, client, stream_chat
from faq_tui.core.endpoints.chunks import BrokenStreamError
from faq_tui.core.endpoints.client import StatusError
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.endpoints.pace import LEAST_CHARACTERS
from faq_tui.core.endpoints.probe import look
from faq_tui.core.endpoints.transport import CutOffError, IdleError
from faq_tui.core.settings import Endpoint, Sampling

KEY = "sk-a-key-of-this-test"
LISTING = b'{"data": [{"id": "m"}]}'
STATUSES = [301, 302, 303, 307, 308]


class Loopback(ThreadingHTTPServer):
    """Answers every request with `status`, `headers` and `body`, and keeps the headers that it was sent."""

    daemon_threads = True

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.headers, self.body = status, headers, body
        self.seen: list[str] = []
        self.pause_s = 0.0  # after each byte of the body

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Loopback)
        server.seen.append(str(self.headers))
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(server.status)
        for name, value in {"Content-Length": str(len(server.body)), **server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for piece in [server.body] if not server.pause_s else server.body:
                self.wfile.write(piece if isinstance(piece, bytes) else bytes([piece]))
                time.sleep(server.pause_s)
        except OSError:
            return  # the client has read enough

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def loopback(status: int = 200, headers: dict[str, str] | None = None, body: bytes = LISTING) -> Iterator[Loopback]:
    with Loopback(status, headers or {}, body) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=STATUSES)
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Loopback, Loopback]]:
    """(the server that was named, another one to which it redirects)."""
    monkeypatch.setenv("FAKE_KEY", KEY)
    with (
        loopback(headers={"Content-Type": "application/json"}) as other,
        # Another name, too: some clients compare names alone.
        loopback(request.param, {"Location": f"http://localhost:{other.server_port}/v1/models"}) as named,
    ):
        yield named, other


def endpoint_of(server: Loopback) -> Endpoint:
    return Endpoint(base_url=server.url, model="m", api_key_env="FAKE_KEY")


def test_the_list_of_models_is_asked_of_the_named_server_alone(pair: tuple[Loopback, Loopback]) -> None:
    named, other = pair
    with pytest.raises(EndpointError, match=f"redirects to http://localhost:{other.server_port}.*set base_url to"):
        listed(named.url, "FAKE_KEY")
    assert KEY in named.seen[0] and other.seen == []


async def test_our_own_client_follows_no_redirect(pair: tuple[Loopback, Loopback]) -> None:
    named, other = pair
    endpoint = endpoint_of(named)
    async with Client(endpoint) as client:
        with pytest.raises(EndpointError, match="set base_url to the URL"):
            await look(client, endpoint)
        with pytest.raises(StatusError):
            await stream_chat(client, "m", [{"role": "user", "content": "?"}], Sampling(), 0, {})
    assert len(named.seen) == 3 and other.seen == [], "the list, a chat request beside it, and ours"


def test_lm_eval_sends_the_key_to_the_named_server_alone(
    pair: tuple[Loopback, Loopback], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    named, other = pair
    monkeypatch.setattr(LocalCompletionsAPI, "create_message", lambda self, messages, **_: messages)
    model = LocalCompletionsAPI(
        base_url=f"{named.url}/completions",
        model="m",
        tokenizer_backend=None,
        num_concurrent=2,
        header=lm_eval_task.header_of("FAKE_KEY"),
    )
    model.model_call(["?"], generate=False)

    async def ask() -> None:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            await model.amodel_call(session, asyncio.Semaphore(1), ["?"], generate=False)

    with pytest.raises(Exception):  # noqa: B017  a listing is no completion
        asyncio.run(ask())
    assert len(named.seen) == 2 and all(KEY in seen for seen in named.seen)
    assert all(KEY not in seen for seen in other.seen)


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_list_of_models_without_an_end_is_not_read_to_it(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_JSON_BYTES", 10_000)
    body = b'{"data": [{"id": "m"}], "more": "' + b"x" * size + b'"}'
    with loopback(body=body) as server:
        if size < client.MOST_JSON_BYTES:
            assert list(listed(server.url)) == ["m"]
            return
        with pytest.raises(EndpointError, match="is not an OpenAI-compatible server"):
            listed(server.url)


def test_a_list_of_models_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "ASK_TIMEOUT_S", 0.3)
    with loopback() as server:
        server.pause_s = 0.1
        with pytest.raises(EndpointError, match=r"cannot reach .*timed out"):
            listed(server.url)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="deep"),
        *(b"[]", b"5", b'{"data": 5}', b'{"data": [5]}', b"no JSON", b'{"data": [{}]}'),
    ],
)
def test_a_list_of_models_that_is_none(body: bytes) -> None:
    with (
        loopback(body=body) as server,
        pytest.raises(EndpointError, match=r"is not an OpenAI-compatible server: check"),
    ):
        listed(server.url)


# --- servers that never finish ---


@asynccontextmanager
async def dripping(first: bytes, drop: bytes, pause_s: float = 0.02) -> AsyncIterator[str]:
    """The URL of a server that sends `first` and then `drop` again and again, until the client has gone."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(first)
            while not writer.is_closing():
                writer.write(drop)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    listening.close()


def patient(url: str) -> Endpoint:
    return Endpoint(base_url=url, model="m", connect_timeout_s=5, idle_timeout_s=10)


MESSAGES = [{"role": "user", "content": "?"}]
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "drop", "words"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X", "no complete answer began", id="a slow head"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", "no complete answer began", id="an endless 100 Continue"),
        pytest.param(b"HTTP/1.1 500 X\r\n\r\n", b"x", "no complete answer began", id="a slow refusal"),
        pytest.param(STREAM, b": ping\n\n", "no part of the answer came", id="only pings"),
        pytest.param(STREAM, b"data: ", "no part of the answer came", id="an event without an end"),
        pytest.param(STREAM, b" ", "no part of the answer came", id="only spaces"),
        pytest.param(STREAM + b"{", b" ", "no part of the answer came", id="a slow whole answer"),
    ],
)
async def test_a_server_that_drips_is_given_up(
    first: bytes, drop: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "IDLE_TIMES", 0.02)
    async with dripping(first, drop) as url, Client(patient(url)) as asking:
        began = time.monotonic()
        with pytest.raises(IdleError, match=words) as caught:
            await stream_chat(asking, "m", MESSAGES, Sampling(), 0, {})
    fault = explain(caught.value, patient(url))
    assert time.monotonic() - began < 5 and fault is not None and fault.retry


async def test_pings_before_each_chunk_do_not_end_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "IDLE_TIMES", 0.02)
    chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": "a" * LEAST_CHARACTERS}}]}).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM)
        for number in range(16):
            writer.write(b": ping\n\n" if number % 2 else b"data: " + chunk + b"\n\n")
            await writer.drain()
            await asyncio.sleep(0.03)
        writer.write(b"data: [DONE]\n\n")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    async with Client(patient(url)) as asking:
        reply = await stream_chat(asking, "m", MESSAGES, Sampling(), 0, {})
        assert reply.answer == "a" * 8 * LEAST_CHARACTERS
    listening.close()


@pytest.mark.parametrize("drop", [b"X-A: " + b"y" * 4000 + b"\r\n", b"z" * 4000], ids=["many headers", "one header"])
async def test_a_head_without_an_end_is_given_up(drop: bytes) -> None:
    async with dripping(b"HTTP/1.1 200 OK\r\n", drop, 0.0) as url, Client(patient(url)) as asking:
        with pytest.raises(CutOffError, match="the response is not HTTP"):
            await asking.get_json("/models")


async def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MOST_CHARACTERS", 100_000)
    chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": "a" * 5000}}]}).encode()
    async with dripping(STREAM, b"data: " + chunk + b"\n\n", 0.0) as url, Client(patient(url)) as asking:
        with pytest.raises(BrokenStreamError, match="the reply passed 100000 characters"):
            await stream_chat(asking, "m", MESSAGES, Sampling(), 0, {})
