"""One HTTP/1.1 request on its own connection: the response is handed over as it arrives, and split into events.

h11 reads the protocol. The event loop's callback hands it the bytes, since a task that wakes for each of a hundred
tokens a second and stream costs three times as much as the parsing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

import h11

from faq_tui.core.endpoints.route import Route

AFTER_ENOUGH_S = 1.0  # grace period after the end of the data ([DONE]) until the server ends its response
MOST_HEAD_BYTES = 4096  # of a chunk: its size and extensions
MOST_CHUNK_BYTES = 64 << 20
MOST_LINE_BYTES = 16 << 20  # no line of an honest server comes near
MOST_EVENT_BYTES = 16 << 20  # of its lines together


class IdleError(TimeoutError):
    """Nothing came for the idle time."""


class CutOffError(ConnectionError):
    """The connection ended before the response did, or what came is no HTTP."""


@dataclass(frozen=True)
class HttpRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class ResponseHead:
    status: int
    headers: dict[str, str] = field(default_factory=dict)  # lower-case names


class Sink(Protocol):
    """Takes a response. What its methods raise ends the exchange and is raised by it."""

    def head(self, head: ResponseHead) -> None: ...
    def body(self, data: bytes) -> bool:
        """True: no more is needed."""
        ...

    def end(self) -> None: ...


async def exchange(
    route: Route, request: HttpRequest, sink: Sink, connect_timeout_s: float, idle_timeout_s: float
) -> None:
    """Ask, and feed `sink` to the response's end. A cancelled call closes the connection at once.

    Raises OSError (ssl.SSLError among them), IdleError, CutOffError, TimeoutError while connecting, and what the
    sink raises.
    """
    loop = asyncio.get_running_loop()
    protocol = _Exchange(loop, request, route, sink, idle_timeout_s)
    async with asyncio.timeout(connect_timeout_s):
        transport = await route.connect(lambda: protocol)
    try:
        protocol.begin(transport)
        await protocol.done
    finally:
        protocol.close()
        transport.abort()


class _Exchange(asyncio.Protocol):
    def __init__(
        self, loop: asyncio.AbstractEventLoop, request: HttpRequest, route: Route, sink: Sink, idle_timeout_s: float
    ) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop, self._request, self._route, self._sink = loop, request, route, sink
        self._idle_s = idle_timeout_s
        self._h11 = h11.Connection(h11.CLIENT)
        self._chunked: ChunkedBody | None = None  # takes over from h11 after the head of a chunked response
        self._enough = False
        self._heard = loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: Any) -> None:
        r = self._request
        headers = {"Host": self._route.host_header, "Connection": "close", "Accept-Encoding": "identity", **r.headers}
        if r.body:
            headers["Content-Length"] = str(len(r.body))
        head = h11.Request(method=r.method, target=self._route.target(r.path), headers=list(headers.items()))
        parts = [self._h11.send(head), self._h11.send(h11.Data(data=r.body)) if r.body else b""]
        parts.append(self._h11.send(h11.EndOfMessage()))
        transport.write(b"".join(part for part in parts if part))
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(self._idle_s, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.done.done() and not self.done.cancelled():
            self.done.exception()  # seen: nobody may await it any more

    def data_received(self, data: bytes) -> None:
        if self.done.done():
            return
        self._heard = self._loop.time()
        try:
            if self._chunked is not None:
                self._take_chunks(data)
            else:
                self._h11.receive_data(data)
                self._read()
        except h11.RemoteProtocolError as error:
            self._finish(CutOffError(f"what came is no HTTP ({error})"))
        except Exception as error:  # noqa: BLE001  a callback: whoever awaits the exchange must hear of it
            self._finish(error)

    def connection_lost(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None and self._chunked is None:
            try:
                self._h11.receive_data(b"")
                self._read()  # a response without a length ends with its connection
            except h11.RemoteProtocolError:
                pass
            except Exception as failure:  # noqa: BLE001  as above
                self._finish(failure)
        self._finish(error or CutOffError("the connection was closed before the answer was whole"))

    def _read(self) -> None:
        pieces: list[bytes] = []
        while True:
            event = self._h11.next_event()
            if type(event) is h11.Data:
                pieces.append(bytes(event.data))
            elif type(event) is h11.Response:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                self._sink.head(ResponseHead(event.status_code, headers))
                if headers.get("transfer-encoding", "").strip().lower() == "chunked":
                    self._chunked = ChunkedBody()
                    self._take_chunks(self._h11.trailing_data[0])
                    return
            elif type(event) is h11.EndOfMessage:
                self._hand_over(b"".join(pieces))
                self._sink.end()
                self._finish(None)
                return
            elif event is h11.NEED_DATA or type(event) is not h11.InformationalResponse:
                break
        self._hand_over(b"".join(pieces))

    def _take_chunks(self, data: bytes) -> None:
        assert self._chunked is not None
        try:
            body = self._chunked.feed(data)
        except ValueError as error:
            self._finish(CutOffError(f"what came is no HTTP ({error})"))
            return
        self._hand_over(body)
        if self._chunked.ended:
            self._sink.end()
            self._finish(None)

    def _hand_over(self, data: bytes) -> None:
        if data and not self._enough and self._sink.body(data):
            self._enough = True
            self._loop.call_later(AFTER_ENOUGH_S, self._finish, None)

    def _look(self) -> None:
        left = self._heard + self._idle_s - self._loop.time()
        if left <= 0:
            self._finish(IdleError(f"nothing came for {self._idle_s:g} s"))
        else:
            self._timer = self._loop.call_later(left, self._look)

    def _finish(self, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is None or self._enough:  # the answer is whole, whatever became of its connection
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class ChunkedBody:
    """The body of a chunked response (RFC 9112, 7.1), one whole chunk at a time.

    `feed` returns the data of the chunks that are complete. `ended` is true after the last chunk; trailers are not
    awaited. h11 would take 20 µs for each chunk and this takes 1 µs: with 256 streams of a hundred tokens a second
    that decides whether one core keeps up.
    """

    def __init__(self) -> None:
        self.ended = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Raises ValueError on what is no chunk."""
        buffer = self._rest + data
        offset, chunks = 0, []
        while not self.ended:
            line = buffer.find(b"\r\n", offset)
            if line < 0:
                if len(buffer) - offset > MOST_HEAD_BYTES:
                    raise ValueError("a chunk without a size")
                break
            field = buffer[offset:line]
            # Extensions after a semicolon mean nothing here.
            size = int(field, 16) if field.isalnum() else int(field.partition(b";")[0].strip() or b"-", 16)
            if not 0 <= size <= MOST_CHUNK_BYTES:
                raise ValueError("a chunk of an impossible size")
            if size == 0:
                self.ended = True
                break
            start, end = line + 2, line + 2 + size
            if len(buffer) < end + 2:
                break
            if buffer[end : end + 2] != b"\r\n":
                raise ValueError("a chunk that does not end where it says")
            chunks.append(buffer[start:end])
            offset = end + 2
        self._rest = buffer[offset:]
        return b"".join(chunks)


class EventStream:
    """Server-sent events from bytes that arrive in any pieces; `feed` returns the data of each complete event.

    A character, a line or an event may be cut anywhere, so nothing is decoded before its line is complete. An event
    that repeats the `id` of the one before it was sent again by something in between, and is dropped.
    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._rest = bytearray()  # of a line that is not whole: it grows in place, however small the pieces are
        self._data: list[bytes] = []
        self._size = 0  # bytes of the event's lines
        self._id: bytes | None = None
        self._last_id: bytes | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """Raises ValueError on a line or an event that does not end."""
        if b"\n" not in piece:
            self._rest += piece
            self._check_rest()
            return []
        if self._rest:
            piece = bytes(self._rest) + piece
        *lines, rest = piece.split(b"\n")
        self._rest = bytearray(rest)
        self._check_rest()
        events: list[bytes] = []
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                self._data.append(text[6:] if text[5:6] == b" " else text[5:])
                self._size += len(text)
                if self._size > MOST_EVENT_BYTES:
                    raise ValueError("an event of the stream does not end")
            elif not text:
                self._dispatch(events)
            elif text.startswith(b"id:"):
                self._id = text[3:].strip()
        return events

    def _check_rest(self) -> None:
        if len(self._rest) > MOST_LINE_BYTES:
            raise ValueError("a line of the stream does not end")

    def end(self) -> list[bytes]:
        """What is left when the stream is over: some servers end without the last empty line."""
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _dispatch(self, events: list[bytes]) -> None:
        if self._data and (self._id is None or self._id != self._last_id):
            events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
        self._last_id = self._id if self._data else self._last_id
        self._data, self._id, self._size = [], None, 0
