"""The server itself: a thread with an event loop, and what it counted."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.support.fakes.behaviour import Asked, Behaviour, Fault, Key, deltas_of, prompt_tokens_of
from tests.support.fakes.wire import HTML, Stream, choice, chunk, error_body, send

INSTEAD = ("status", "html", "silence", "reset")  # of an answer


@dataclass
class Stats:
    asked: Counter[Key] = field(default_factory=Counter)
    finished: Counter[Key] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0


class FakeServer:
    """Serves from a thread of its own while the block runs."""

    def __init__(self, behaviour: Behaviour | None = None, port: int = 0) -> None:
        """Port 0: any that is free."""
        self.behaviour = behaviour or Behaviour()
        self.requests: list[Asked] = []
        self.port = port
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

    def urls(self, count: int) -> list[str]:
        """Several addresses of this server. To a client they look like different servers."""
        return [f"{self.root}/{number}/v1" for number in range(count)]

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
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0.01))  # the connections close at the loop's next turns
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one_request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or this server ends
        finally:
            writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False once the connection is of no more use."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        path = re.sub(r"^/\d+(?=/)", "", path)  # see `urls`
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if (method, path) == ("GET", "/stats"):
            return await send(writer, 200, json.dumps(self._stats_body()))
        if self.behaviour.api_key not in (None, key):
            return await send(writer, 401, error_body(f"Incorrect API key provided: {key}"))
        if (method, path) == ("GET", "/v1/models"):
            return await self._models(writer)
        if (method, path) != ("POST", "/v1/chat/completions"):
            return await send(writer, 404, error_body("Not Found"))
        self.behaviour.on_headers(headers)
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
        length = self.behaviour.max_model_len if self.behaviour.tells_window else None
        more = {} if length is None else {"max_model_len": length}
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "me", **more} for name in self.behaviour.models
        ]
        return await send(writer, 200, json.dumps({"object": "list", "data": listed}))

    async def _chat(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any], key: str
    ) -> bool:
        behaviour, stats = self.behaviour, self._stats
        name = (str(body["messages"][-1]["content"]), int(body.get("seed") or 0))
        stats.asked[name] += 1
        asked = Asked(*name, stats.asked[name], body, key)
        self.requests.append(asked)
        if body["model"] not in behaviour.models:
            return await send(writer, 404, error_body(f"The model `{body['model']}` does not exist."))
        if refusal := self._too_long(asked):
            return await send(writer, 400, error_body(refusal))
        fault = behaviour.fault(asked)
        if fault is not None and fault.kind in INSTEAD:
            return await self._plain_fault(writer, fault)
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        try:
            if behaviour.streams:
                whole = await self._stream(reader, writer, asked, fault)
            else:
                whole = await self._whole(writer, asked)
        finally:
            stats.in_flight -= 1
        if whole and not reader.at_eof():  # at its end the client is dead, whatever the kernel still took
            stats.finished[name] += 1
        return whole

    def _too_long(self, asked: Asked) -> str:
        """vLLM's words (0.26 and 0.32): it stops to count the prompt where max_tokens leaves no more room."""
        window, wanted, room = self.behaviour.max_model_len, asked.body.get("max_tokens"), self._room(asked)
        if window is None or room is None:
            return ""
        if wanted is not None and wanted > window:
            return (
                f"max_tokens={wanted} cannot be greater than max_model_len={window}. Please request fewer output "
                f"tokens. (parameter=max_tokens, value={wanted})"
            )
        if room <= 0:
            return (
                f"This model's maximum context length is {window} tokens. However, your prompt contains at least "
                f"{window + 1} input tokens, which exceeds this limit even without any output tokens."
            )
        if wanted is None or wanted <= room:
            return ""
        return (
            f"This model's maximum context length is {window} tokens. However, you requested {wanted} output tokens "
            f"and your prompt contains at least {window - wanted + 1} input tokens, for a total of at least "
            f"{window + 1} tokens. Please reduce the length of the input prompt or the number of requested output "
            "tokens."
        )

    def _room(self, asked: Asked) -> int | None:
        """Tokens of the window behind the prompt."""
        behaviour = self.behaviour
        if behaviour.max_model_len is None:
            return None
        return behaviour.max_model_len - prompt_tokens_of(asked, behaviour.characters_per_token)

    async def _plain_fault(self, writer: asyncio.StreamWriter, fault: Fault) -> bool:
        if fault.kind == "html":
            return await send(writer, 200, HTML, content_type="text/html")
        if fault.kind == "silence":
            await asyncio.sleep(3600)
        if fault.kind == "reset":
            writer.transport.abort()
            return False
        extra = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
        return await send(writer, fault.status, fault.body or error_body(fault.message), extra)

    async def _whole(self, writer: asyncio.StreamWriter, asked: Asked) -> bool:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        for delta in deltas_of(self.behaviour, asked):
            for name, text in delta.items():
                message[name] = message.get(name, "") + text
        body = {"index": 0, "message": message, "finish_reason": self.behaviour.finish(asked)}
        return await send(writer, 200, json.dumps(chunk(self.behaviour.models[0], [body])))

    async def _stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked, fault: Fault | None
    ) -> bool:
        kind = fault.kind if fault is not None else ""
        stream = Stream(reader, writer, ids=kind == "twice", twice=kind == "twice", split=kind == "split")
        wanted = asked.body.get("n", 1) if self.behaviour.knows_n else 1
        written = await self._choices(stream, asked, fault, wanted)
        if written is None:
            return False
        if self.behaviour.usage and asked.body.get("stream_options", {}).get("include_usage"):
            await stream.event(chunk(self.behaviour.models[0], [], usage=self._usage(written, kind == "usage")))
        if self.behaviour.done(asked):
            await stream.event("[DONE]")
        await stream.end()
        return True

    async def _choices(self, stream: Stream, asked: Asked, fault: Fault | None, wanted: int) -> int | None:
        """Pieces written; None if it broke off."""
        behaviour, model = self.behaviour, self.behaviour.models[0]
        # Several choices of one request differ as candidates do.
        every = [Asked(asked.question, asked.number + i, asked.attempt, asked.body, asked.key) for i in range(wanted)]
        room = None if "max_tokens" in asked.body else self._room(asked)  # an answer may end at the window
        wholes = [deltas_of(behaviour, one) for one in every]
        each = [deltas[:room] for deltas in wholes]
        strangers = (2, 1) if fault is not None and fault.kind == "order" else ()
        await stream.event(chunk(model, [choice(i, {"role": "assistant", "content": ""}) for i in range(wanted)]))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        if behaviour.spread and behaviour.pieces_per_s:
            begun += random.random() / behaviour.pieces_per_s
        for number in range(1, max(map(len, each), default=0) + 1):
            if fault is not None and number > fault.after and await self._breaks(stream, fault):
                return None
            for index in strangers:
                await stream.event(chunk(model, [choice(index, {"content": "nobody asked for this"})]))
            for index, deltas in reversed(list(enumerate(each))):
                if number <= len(deltas):
                    await stream.event(chunk(model, [choice(index, deltas[number - 1])]))
            if behaviour.pieces_per_s:
                # By the clock, as a model's speed knows nothing of its reader's: sleeps would add up.
                await asyncio.sleep(max(0.0, begun + number / behaviour.pieces_per_s - loop.time()))
        for index, one in enumerate(every):
            finish = "length" if len(each[index]) < len(wholes[index]) else behaviour.finish(one)
            await stream.event(chunk(model, [choice(index, {}, finish)]))
        return sum(map(len, each))

    async def _breaks(self, stream: Stream, fault: Fault) -> bool:
        if fault.kind == "cut":
            stream.writer.transport.abort()
        elif fault.kind == "garbage":
            await stream.event('{"choices": [{"index": 0, "delta": {"cont')
            await stream.end()
        elif fault.kind == "error":
            await stream.event({"error": {"message": fault.message, "type": "server_error", "code": 500}})
            await stream.end()
        elif fault.kind == "stall":
            await stream.left()
        else:
            return False
        return True

    def _usage(self, pieces: int, wrong: bool) -> dict[str, Any]:
        tokens = pieces * self.behaviour.tokens_per_piece
        if wrong:
            return {"prompt_tokens": -5, "completion_tokens": 10**15, "total_tokens": "many"}
        return {"prompt_tokens": 11, "completion_tokens": tokens, "total_tokens": 11 + tokens}
