"""Send one HTTP/1.1 request on its own connection, pass on the response as it arrives, and split it into events.

h11 parses the protocol. The event loop's callback passes the bytes to it, without a task between them: a stream has a
hundred tokens a second, and to wake a task for each token would cost three times as much as the parsing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

import h11

from faq_tui.core.endpoints.route import Route

AFTER_ENOUGH_S = 1.0  # how long the server may take to end its response after the end of the data ([DONE])
MOST_HEAD_BYTES = 4096  # for a chunk's first line: its size and extensions
MOST_CHUNK_BYTES = 64 << 20
MOST_LINE_BYTES = 16 << 20  # far more than any line of a well-behaved server
MOST_EVENT_BYTES = 16 << 20  # for all lines of the event together


class IdleError(TimeoutError):
    """The server sent nothing during the idle time."""


class CutOffError(ConnectionError):
    """The connection ended before the response was complete, or the response is not HTTP."""


@dataclass(frozen=True)
class HttpRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class ResponseHead:
    status: int
    headers: dict[str, str] = field(default_factory=dict)  # header names in lower case


class Sink(Protocol):
    """Receives a response. An exception from its methods ends the exchange, which then raises it."""

    def head(self, head: ResponseHead) -> None: ...
    def body(self, data: bytes) -> bool:
        """Take a piece of the body. Returns True if the rest of the response is not needed."""
        ...

    def end(self) -> None: ...


async def exchange(
    route: Route, request: HttpRequest, sink: Sink, connect_timeout_s: float, idle_timeout_s: float
) -> None:
    """Send the request, and pass the whole response to `sink`. A cancelled call closes the connection at once.

    Raises OSError (including ssl.SSLError), IdleError, CutOffError, TimeoutError if connecting takes too long, and
    the exceptions of the sink.
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
        self._chunked: ChunkedBody | None = None  # reads a chunked body instead of h11
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
            self.done.exception()  # mark it as retrieved, because perhaps no task awaits it any more

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
        except Exception as error:  # noqa: BLE001  the task that awaits the exchange must get it
            self._finish(error)

    def connection_lost(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None and self._chunked is None:
            try:
                self._h11.receive_data(b"")
                self._read()  # a response without a length ends when its connection ends
            except h11.RemoteProtocolError:
                pass
            except Exception as failure:  # noqa: BLE001  the task that awaits the exchange must get it
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
        if error is None or self._enough:  # the answer is complete even if the connection failed
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class ChunkedBody:
    """Reads the body of a chunked response (RFC 9112, 7.1), one complete chunk at a time.

    `feed` returns the data of the chunks that are complete. `ended` is true after the last chunk, because
    the trailers are not needed. This class takes 1 µs for a chunk and h11 takes 20 µs. With h11, one core could not
    keep up with 256 streams of a hundred tokens a second each.
    """

    def __init__(self) -> None:
        self.ended = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The data of the chunks that `data` completes. Raises ValueError if a chunk is malformed."""
        buffer = self._rest + data
        offset, chunks = 0, []
        while not self.ended:
            line = buffer.find(b"\r\n", offset)
            if line < 0:
                if len(buffer) - offset > MOST_HEAD_BYTES:
                    raise ValueError("a chunk without a size")
                break
            field = buffer[offset:line]
            # Extensions after a semicolon are ignored.
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
    """Reads server-sent events from bytes in pieces of any size; `feed` returns the data of each complete event.

    A piece may end inside a character, a line or an event, so a line is decoded only when it is complete. An event
    with the same `id` as the event before it is dropped: a proxy has sent it twice.
    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._rest = bytearray()  # bytes of the incomplete line; they grow in place, which is fast for small pieces
        self._data: list[bytes] = []
        self._size = 0  # total bytes of the event's lines so far
        self._id: bytes | None = None
        self._last_id: bytes | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that `piece` completes. Raises ValueError if a line or an event is too long."""
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
        """The data of the last event if no empty line ended it; some servers leave this line out."""
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _dispatch(self, events: list[bytes]) -> None:
        if self._data and (self._id is None or self._id != self._last_id):
            events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
        self._last_id = self._id if self._data else self._last_id
        self._data, self._id, self._size = [], None, 0
