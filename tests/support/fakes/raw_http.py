"""Servers and proxies that answer with given bytes, in the event loop of the test."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = bytes | Callable[[str], bytes]


@dataclass
class RawServer:
    """Where it listens, and the heads of the requests that came."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def ok(body: bytes, kind: str = "application/json", *more: str) -> bytes:
    """A response with the status 200 and a length."""
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def raw_server(
    answer: Answer, keeps_open: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Answers each request with `answer`, or with what it returns for the request's head."""
    server = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
                )
                await reader.readexactly(length)
                server.heads.append(head)
                writer.write(answer if isinstance(answer, bytes) else answer(head))
                await writer.drain()
                if not keeps_open:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


@dataclass
class RawProxy:
    """A proxy that brings every request to one port of this machine."""

    port: int = 0
    asked: list[str] = field(default_factory=list)  # the hosts that it was asked for


@asynccontextmanager
async def http_proxy(target_port: int, user: str = "", password: str = "") -> AsyncIterator[RawProxy]:
    """An HTTP proxy: CONNECT and whole URLs. With a user it answers 407 to everybody else."""
    proxy = RawProxy()
    expected = f"proxy-authorization: basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}".lower()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, address, _ = head.decode("latin-1").split("\r\n")[0].split(" ")
        proxy.asked.append(address)
        if user and expected not in head.decode("latin-1").lower().split("\r\n"):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            head = b""
        await _joined(reader, writer, target_port, head)

    async with _listening(serve, proxy):
        yield proxy


@asynccontextmanager
async def socks_proxy(target_port: int, user: str = "", password: str = "") -> AsyncIterator[RawProxy]:
    """A SOCKS5 proxy (RFC 1928, RFC 1929)."""
    proxy = RawProxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 2 if user else 0
        if method not in methods:
            writer.write(b"\x05\xff")
            writer.close()
            return
        writer.write(bytes([5, method]))
        if user:
            _, length = await reader.readexactly(2)
            name = await reader.readexactly(length)
            word = await reader.readexactly((await reader.readexactly(1))[0])
            fits = (name.decode(), word.decode()) == (user, password)
            writer.write(b"\x01\x00" if fits else b"\x01\x01")
            if not fits:
                writer.close()
                return
        _, _, _, kind = await reader.readexactly(4)
        length = (await reader.readexactly(1))[0] if kind == 3 else 4
        host = await reader.readexactly(length)
        port = int.from_bytes(await reader.readexactly(2), "big")
        proxy.asked.append(f"{host.decode() if kind == 3 else '.'.join(map(str, host))}:{port}")
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await _joined(reader, writer, target_port, b"")

    async with _listening(serve, proxy):
        yield proxy


@asynccontextmanager
async def _listening(serve: Callable[..., object], proxy: RawProxy) -> AsyncIterator[None]:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)  # type: ignore[misc]
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        listening.close()


async def _joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes) -> None:
    """Carry bytes both ways until one side ends."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    far_writer.write(first)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
