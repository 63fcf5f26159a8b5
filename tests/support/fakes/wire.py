"""HTTP and server-sent events, written by hand so that they can be written wrongly."""

from __future__ import annotations

import asyncio
import json
from typing import Any

HTML = "<!doctype html><html><body><h1>Welcome to nginx!</h1></body></html>"


class Stream:
    """A chunked response of server-sent events."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ids: bool = False,
        twice: bool = False,
        split: bool = False,
    ) -> None:
        self._reader, self.writer, self._ids, self._twice, self._split = reader, writer, ids, twice, split
        self._count = 0
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def event(self, body: dict[str, Any] | str) -> None:
        self._count += 1
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        if not text.isprintable():  # half a character: only an escape can say it
            text = json.dumps(body)
        data = f"data: {text}\n\n".encode()
        if self._ids:
            data = f"id: {self._count}\n".encode() + data
        for _ in range(2 if self._twice else 1):
            for piece in (data[i : i + 1] for i in range(len(data))) if self._split else (data,):
                self.writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                if self._split and piece >= b"\x80":  # the halves of a character travel apart
                    await self.writer.drain()
                    await asyncio.sleep(0)
        await self.writer.drain()

    async def left(self) -> None:
        """Until the client has had enough and closes the connection."""
        await self._reader.read(1)

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


def chunk(model: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model}
    return {**head, "choices": choices, **more}


def choice(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def error_body(message: str) -> str:
    return json.dumps({"error": {"message": message, "type": "made_up", "code": None}})


async def send(
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
