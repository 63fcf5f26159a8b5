"""A cheap server that writes 100 tokens per second into each stream, one token per chunk.

`python benchmarks/paced_server.py TOKENS [PER_SECOND]` starts the server and prints its URL. All chunks are made at
the start. A single loop writes the next chunk to every stream that is due. `GET /count` reports how many answers
clients have read to the end since the last `GET /begin`. An answer counts as read when its client closes the
connection, or sends the next question on the same connection.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

SPREAD = 0.5  # relative variation of the answers' lengths; answers of equal length would all end at the same time


def event(body: object) -> bytes:
    data = f"data: {body if isinstance(body, str) else json.dumps(body)}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, object]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "fake-8b",
        "choices": choices,
    }


def length_of(question: str, tokens: int) -> int:
    """The length of the answer. Equal requests get equal lengths."""
    return round(tokens * random.Random(question).uniform(1 - SPREAD, 1 + SPREAD))


@dataclass
class Count:
    answers: int = 0
    tokens: int = 0
    first: float = 0.0  # unix seconds of the first request
    last: float = 0.0  # unix seconds of the end of the last answer


@dataclass
class Open:
    began: float
    tokens: int
    whole: asyncio.Future[None] = field(default_factory=asyncio.Future)
    written: int = 0


class Paced:
    def __init__(self, tokens: int, per_second: float) -> None:
        self.tokens, self.per_second, self.count = tokens, per_second, Count()
        # The words differ, because faq-tui flags answers that repeat themselves.
        self.words = [f" {place * 7919 % 100_003:x}" for place in range(round(tokens * (1 + SPREAD)))]
        names = ("reasoning", "content")
        self.pieces = [event(chunk({names[2 * place >= tokens]: word})) for place, word in enumerate(self.words)]
        self.streams: dict[asyncio.StreamWriter, Open] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        untaken = 0
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                finally:
                    if untaken:
                        self._taken(untaken)
                untaken = 0
                lines = head.lower().split(b"\r\n")
                length = next((int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length:")), 0)
                asked = await reader.readexactly(length)
                if lines[0].startswith(b"post"):
                    untaken = await self._answer(json.loads(asked), writer)
                elif lines[0].startswith(b"get /v1/models"):
                    _send(writer, {"data": [{"id": "fake-8b"}], "object": "list"})
                else:
                    if lines[0].startswith(b"get /begin"):
                        self.count = Count()
                    _send(writer, asdict(self.count))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.streams.pop(writer, None)
            writer.close()

    async def _answer(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> int:
        """Write the whole answer, and return the number of its tokens."""
        self.count.first = self.count.first or time.time()
        tokens = length_of(asked["messages"][-1]["content"], self.tokens)
        if not asked.get("stream"):  # without streaming, the same answer takes as long, but is sent in one piece
            await asyncio.sleep(tokens / self.per_second if self.per_second else 0)
            message = {"role": "assistant", "content": "".join(self.words[:tokens])}
            lone = {"index": 0, "message": message, "finish_reason": "stop"}
            _send(writer, {**chunk({}), "object": "chat.completion", "choices": [lone], "usage": usage_of(tokens)})
            return tokens
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.streams[writer] = stream = Open(time.monotonic(), tokens)
        await stream.whole
        return tokens

    def _taken(self, tokens: int) -> None:
        self.count.answers += 1
        self.count.tokens += tokens
        self.count.last = time.time()

    async def write(self) -> None:
        while True:
            now = time.monotonic()
            for writer, stream in list(self.streams.items()):
                due = stream.tokens
                if self.per_second:
                    due = min(due, int((now - stream.began) * self.per_second))
                if writer.is_closing():
                    del self.streams[writer]
                    stream.whole.cancel()
                    continue
                while stream.written < due:
                    writer.write(self.pieces[stream.written])
                    stream.written += 1
                if stream.written == stream.tokens:
                    usage = event({**chunk({}), "choices": [], "usage": usage_of(stream.tokens)})
                    done = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
                    writer.write(event(chunk({}, "stop")) + usage + done)
                    del self.streams[writer]
                    stream.whole.set_result(None)
            await asyncio.sleep(max(0.001, 0.01 - (time.monotonic() - now)))


def usage_of(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 11, "completion_tokens": tokens, "total_tokens": tokens + 11}


def _send(writer: asyncio.StreamWriter, body: object) -> None:
    data = json.dumps(body).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))


async def main() -> None:
    paced = Paced(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 100.0)
    server = await asyncio.start_server(paced.serve, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await paced.write()


if __name__ == "__main__":
    asyncio.run(main())
