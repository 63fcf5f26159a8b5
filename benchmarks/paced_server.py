"""A server that writes a hundred tokens a second into each stream, one a chunk, and costs as little as it can.

`python benchmarks/paced_server.py TOKENS [PER_SECOND]` prints its URL. `GET /count` says how many answers it has
written to their end. The chunks are made once; one loop writes to every stream that is due.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field

SPREAD = 0.5  # share by which answers are longer or shorter


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


@dataclass
class Open:
    began: float
    tokens: int
    whole: asyncio.Future[None] = field(default_factory=asyncio.Future)
    written: int = 0


class Paced:
    def __init__(self, tokens: int, per_second: float) -> None:
        self.tokens, self.per_second, self.finished = tokens, per_second, 0
        names = ("reasoning", "content")
        # Words differ, as text that repeats itself is flagged.
        words = [f" {place * 7919 % 100_003:x}" for place in range(round(tokens * (1 + SPREAD)))]
        self.pieces = [event(chunk({names[2 * place >= tokens]: word})) for place, word in enumerate(words)]
        # The usage is that of the mean: answers differ in length, or all streams would end and begin at one moment.
        usage = {"prompt_tokens": 11, "completion_tokens": tokens, "total_tokens": tokens + 11}
        message = {"role": "assistant", "content": "".join(words[:tokens])}
        lone = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "fake-8b"}
        self.whole = json.dumps({**head, "choices": [lone], "usage": usage}).encode()
        done = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
        self.end = event(chunk({}, "stop")) + event({**chunk({}), "choices": [], "usage": usage}) + done
        self.streams: dict[asyncio.StreamWriter, Open] = {}

    def length(self) -> int:
        return round(self.tokens * random.uniform(1 - SPREAD, 1 + SPREAD)) if self.per_second else self.tokens

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                length = next((int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length:")), 0)
                asked = await reader.readexactly(length)
                if not lines[0].startswith(b"post"):
                    count = {"data": [{"id": "fake-8b"}], "object": "list", "finished": self.finished}
                    body = json.dumps(count).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                    writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                    continue
                if not json.loads(asked).get("stream"):  # the same answer after the same time, in one piece
                    await asyncio.sleep(self.tokens / self.per_second if self.per_second else 0)
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                    writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(self.whole), self.whole))
                    continue
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
                writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
                self.streams[writer] = stream = Open(time.monotonic(), self.length())
                await stream.whole
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.streams.pop(writer, None)
            writer.close()

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
                    writer.write(self.end)
                    del self.streams[writer]
                    stream.whole.set_result(None)
                    self.finished += 1
            await asyncio.sleep(max(0.001, 0.01 - (time.monotonic() - now)))


async def main() -> None:
    paced = Paced(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 100.0)
    server = await asyncio.start_server(paced.serve, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await paced.write()


if __name__ == "__main__":
    asyncio.run(main())
