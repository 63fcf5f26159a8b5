"""An OpenAI-compatible chat server on loopback that misbehaves on demand, and counts what it was asked.

In a test: `with FakeServer() as server: server.behaviour = Behaviour(dialect="inline")`. By hand:
`python tests/fake_server.py` serves until Ctrl-C; `--help` names its options. It lives outside the client, so it
survives the client's `kill -9`; `GET /stats` tells how often each (question, seed number) was asked and answered to
the end.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

PIECE = 7  # characters of one chunk: think tags arrive in two parts
VOCABULARY = """
river stone bright quiet seven copper lantern orbit maple signal thirty velvet harbour question answer engine
winter paper north balance window theory garden silver island number music bridge forest candle morning circle
market danger kitchen planet summer doctor yellow castle
"""
WORDS = VOCABULARY.split()
HTML = "<!doctype html><html><body><h1>Welcome to nginx!</h1></body></html>"

Dialect = Literal["none", "reasoning", "reasoning_content", "inline", "unopened", "unclosed"]
Key = tuple[str, int]


@dataclass(frozen=True)
class Asked:
    """One request for an answer."""

    question: str  # the last message
    number: int  # the `seed` of the request
    attempt: int  # how often this very question and number were asked so far, this time included
    body: dict[str, Any]
    key: str  # of the Authorization header


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request: a status, or a stream of which `after` pieces arrive."""

    kind: Literal["status", "cut", "error", "html", "silence"]  # error: an error object inside a 200 stream
    status: int = 500
    message: str = "made-up trouble"
    retry_after: str | None = None
    after: int = 2


@dataclass
class Behaviour:
    """How the server answers. Functions are called on the server's thread."""

    models: tuple[str, ...] = ("fake-8b",)
    api_key: str | None = None  # None: any
    dialect: Dialect | Callable[[Asked], Dialect] = "reasoning"
    pieces_per_s: float = 0.0  # of each stream; 0: all at once
    piece: int = PIECE  # characters of one chunk
    tokens_per_piece: int = 1  # in the usage
    spread: float = 0.0  # share by which answers are longer or shorter, and streams begin later: no lockstep
    thought_words: int = 9
    usage: bool = True
    words: int = 12  # of an answer
    finish: Callable[[Asked], str] = lambda asked: "stop"
    fault: Callable[[Asked], Fault | None] = lambda asked: None
    models_fault: Fault | None = None
    reply: Callable[[Asked], str] | None = None  # the whole content, instead of a made-up answer


def answer_of(question: str, number: int, words: int = 12) -> str:
    """What the server answers, the same on every machine."""
    return _prose(f"answer {question} {number}", words)


def reasoning_of(question: str, number: int, words: int = 9) -> str:
    return _prose(f"reasoning {question} {number}", words)


def _prose(key: str, words: int) -> str:
    dice = random.Random(hashlib.sha256(key.encode()).digest())
    return " ".join(dice.choice(WORDS) for _ in range(words)) + f" {dice.randrange(10**6)}."


@dataclass
class Stats:
    asked: Counter[Key] = field(default_factory=Counter)
    finished: Counter[Key] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0


class FakeServer:
    """Serves from a thread of its own while the block runs."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.requests: list[Asked] = []
        self.port = 0
        self._stats = Stats()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="fake-server")

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def stats(self) -> Stats:
        """Read over HTTP, as any other process would."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.root}/stats", timeout=10) as response:
            body = json.load(response)
        counts = {name: Counter({(q, n): c for q, n, c in body[name]}) for name in ("asked", "finished")}
        return Stats(counts["asked"], counts["finished"], body["in_flight"], body["most_in_flight"])

    def wait_for(self, ready: Callable[[Stats], bool], seconds: float = 30.0) -> Stats:
        """Poll the counts until `ready` likes them."""
        deadline = time.monotonic() + seconds
        while not ready(stats := self.stats()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server never saw what the test waits for: {stats}")
            time.sleep(0.02)
        return stats

    def __enter__(self) -> FakeServer:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one_request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        finally:
            writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False once the connection is of no more use."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if (method, path) == ("GET", "/stats"):
            return await _send(writer, 200, json.dumps(self._stats_body()))
        if self.behaviour.api_key not in (None, key):
            return await _send(writer, 401, _error(f"Incorrect API key provided: {key}"))
        if (method, path) == ("GET", "/v1/models"):
            return await self._models(writer)
        if (method, path) != ("POST", "/v1/chat/completions"):
            return await _send(writer, 404, _error("Not Found"))
        return await self._chat(reader, writer, json.loads(body), key)

    def _stats_body(self) -> dict[str, Any]:
        stats = self._stats
        return {
            "asked": [[*name, count] for name, count in stats.asked.items()],
            "finished": [[*name, count] for name, count in stats.finished.items()],
            "in_flight": stats.in_flight,
            "most_in_flight": stats.most_in_flight,
        }

    async def _models(self, writer: asyncio.StreamWriter) -> bool:
        fault = self.behaviour.models_fault
        if fault is not None:
            return await self._plain_fault(writer, fault)
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "me"} for name in self.behaviour.models]
        return await _send(writer, 200, json.dumps({"object": "list", "data": listed}))

    async def _chat(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any], key: str
    ) -> bool:
        behaviour, stats = self.behaviour, self._stats
        name = (str(body["messages"][-1]["content"]), int(body.get("seed") or 0))
        stats.asked[name] += 1
        asked = Asked(*name, stats.asked[name], body, key)
        self.requests.append(asked)
        if body["model"] not in behaviour.models:
            return await _send(writer, 404, _error(f"The model `{body['model']}` does not exist."))
        fault = behaviour.fault(asked)
        if fault is not None and fault.kind in ("status", "html", "silence"):
            return await self._plain_fault(writer, fault)
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        try:
            whole = await self._stream(writer, asked, fault)
        finally:
            stats.in_flight -= 1
        if whole and not reader.at_eof():  # at its end the client is dead, whatever the kernel still took
            stats.finished[name] += 1
        return whole

    async def _plain_fault(self, writer: asyncio.StreamWriter, fault: Fault) -> bool:
        if fault.kind == "html":
            return await _send(writer, 200, HTML, content_type="text/html")
        if fault.kind == "silence":
            await asyncio.sleep(3600)
        extra = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
        return await _send(writer, fault.status, _error(fault.message), extra)

    async def _stream(self, writer: asyncio.StreamWriter, asked: Asked, fault: Fault | None) -> bool:
        behaviour = self.behaviour
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await _event(writer, self._chunk({"role": "assistant", "content": ""}))
        deltas = self._deltas(asked)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        if behaviour.spread and behaviour.pieces_per_s:
            begun += random.random() / behaviour.pieces_per_s
        for number, delta in enumerate(deltas, 1):
            if fault is not None and number > fault.after:
                if fault.kind == "cut":
                    writer.transport.abort()
                    return False
                await _event(writer, {"error": {"message": fault.message, "type": "server_error", "code": 500}})
                writer.write(b"0\r\n\r\n")
                await writer.drain()
                return False
            await _event(writer, self._chunk(delta))
            if behaviour.pieces_per_s:
                # By the clock, as a model's speed knows nothing of its reader's: sleeps would add up.
                await asyncio.sleep(max(0.0, begun + number / behaviour.pieces_per_s - loop.time()))
        await _event(writer, self._chunk({}, behaviour.finish(asked)))
        if behaviour.usage and asked.body.get("stream_options", {}).get("include_usage"):
            tokens = len(deltas) * behaviour.tokens_per_piece
            usage = {"prompt_tokens": 11, "completion_tokens": tokens, "total_tokens": 11 + tokens}
            await _event(writer, {**self._chunk({}), "choices": [], "usage": usage})
        await _event(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _deltas(self, asked: Asked) -> list[dict[str, str]]:
        behaviour = self.behaviour
        if behaviour.reply is not None:
            return [{"content": piece} for piece in _pieces(behaviour.reply(asked), behaviour.piece)]
        scale = 1 + behaviour.spread * random.Random(f"{asked.question} {asked.number}").uniform(-1, 1)
        answer = answer_of(asked.question, asked.number, round(behaviour.words * scale))
        thought = reasoning_of(asked.question, asked.number, round(behaviour.thought_words * scale))
        dialect = behaviour.dialect(asked) if callable(behaviour.dialect) else behaviour.dialect
        if dialect in ("reasoning", "reasoning_content"):
            return [
                *({str(dialect): piece} for piece in _pieces(thought, behaviour.piece)),
                *({"content": piece} for piece in _pieces(answer, behaviour.piece)),
            ]
        text = {
            "none": answer,
            "inline": f"<think>\n{thought}\n</think>\n\n{answer}",
            "unopened": f"{thought}\n</think>\n\n{answer}",
            "unclosed": f"<think>\n{thought}",
        }[dialect]
        return [{"content": piece} for piece in _pieces(text, behaviour.piece)]

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": self.behaviour.models[0],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }


def _pieces(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]


def _error(message: str) -> str:
    return json.dumps({"error": {"message": message, "type": "made_up", "code": None}})


async def _event(writer: asyncio.StreamWriter, body: dict[str, Any] | str) -> None:
    data = f"data: {body if isinstance(body, str) else json.dumps(body)}\n\n".encode()
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()


async def _send(
    writer: asyncio.StreamWriter,
    status: int,
    text: str,
    extra: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> bool:
    data = text.encode()
    lines = {"Content-Type": content_type, "Content-Length": str(len(data)), **(extra or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {status} Made Up\r\n{head}\r\n".encode() + data)
    await writer.drain()
    return True


def _behaviour_asked_for() -> Behaviour:
    parser = argparse.ArgumentParser(description="Serves on a free port of loopback until it is killed.")
    parser.add_argument("--pieces-per-s", type=float, default=20, help="of each stream (default %(default)s)")
    parser.add_argument("--piece", type=int, default=PIECE, help="characters of a piece (default %(default)s)")
    parser.add_argument("--tokens-per-piece", type=int, default=1)
    parser.add_argument("--words", type=int, default=12, help="of an answer (default %(default)s)")
    parser.add_argument("--thought-words", type=int, default=9, help="of the reasoning (default %(default)s)")
    parser.add_argument("--spread", type=float, default=0.0, help="share by which lengths differ (default 0)")
    return Behaviour(**vars(parser.parse_args()))


if __name__ == "__main__":
    with FakeServer(_behaviour_asked_for()) as running:
        print(running.url, flush=True)
        threading.Event().wait()
