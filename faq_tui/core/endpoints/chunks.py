"""Send one chat request. Parse the chunks of the response, and yield them as they arrive."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from faq_tui.core.endpoints.client import MOST_ERROR_BYTES, Client, NotAnApiError, joined, message_of
from faq_tui.core.endpoints.sse import BOM, EventReader, SentEvent
from faq_tui.core.endpoints.transport import IdleError

AFTER_DONE_S = 1.0  # seconds that the server has after [DONE] to end its response
DONE = b"[DONE]"
# If more streams than this are open, there is a pause before each read of a stream. The pause grows with the number
# of streams. All chunks that arrive during a pause are read together. Without pauses, 256 streams of 100 tokens per
# second would need more than one core.
STREAMS_WITHOUT_PAUSE = 64
PAUSE_PER_STREAM_S = 0.0002
LONGEST_PAUSE_S = 0.1
# the field of a choice that holds the text: "delta" in a stream, "message" in a whole response
DELTA, MESSAGE = "delta", "message"
IN_THE_MIDDLE = 503  # status of an error that comes after a part of the answer, and therefore is not about parameters
END = "end"  # the response is complete: [DONE] or a whole response has arrived

# This pattern matches events that gateways send only to keep a connection open. Examples are `data: : keepalive`,
# `data: [PING]` and `event: heartbeat`.
_KEEP_ALIVE = re.compile(rb"|:.*|\W?(?:keep[-_ ]?alive|ping|heart[-_ ]?beat)\W?", re.IGNORECASE | re.DOTALL)
# `_decoded` is faster than json.loads, which inspects its input first. A stream can have a hundred chunks per second.
_decoded = json.JSONDecoder().decode


class BrokenStreamError(Exception):
    """The stream cannot be read, or it ended before the reply was complete. Another try may help."""


async def chat_chunks(
    client: Client, body: dict[str, Any], headers: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[str, list[Any]], None]:
    """Send one chat request. For a stream, yield (DELTA, the chunks that arrived together).

    For a response that is not a stream, yield (MESSAGE, [the whole response]).

    After a complete response, the function yields (END, []).

    A chunk is any parsed JSON. Raises NotAnApiError, BrokenStreamError and the errors of `Client.request`.
    """
    async with client.request("POST", "/chat/completions", body, headers) as response:
        if response.kind == "text/html":
            raise NotAnApiError
        chunks = ChunkReader()
        ChunkReader.open_now += 1
        try:
            async with aclosing(response.pieces()) as pieces:
                waiting = _Waiting(client.longest_wait_s)
                first = await _beginning(pieces, waiting)
                if _is_json(first, response.kind):
                    part, found = _of_json(await joined(waiting.checked(pieces), first))
                    yield part, found
                    yield END, []
                    return
                async for piece in _chained(first, pieces):
                    found = chunks.feed(piece)
                    waiting.check(bool(found) or chunks.done)
                    yield DELTA, found
                    if chunks.done:
                        yield END, []
                        await _read_to_end(pieces)
                        return
                    crowd = ChunkReader.open_now - STREAMS_WITHOUT_PAUSE
                    if crowd > 0:
                        await asyncio.sleep(min(LONGEST_PAUSE_S, crowd * PAUSE_PER_STREAM_S))
        finally:
            ChunkReader.open_now -= 1
        yield DELTA, chunks.end()
        if chunks.done:
            yield END, []


class _Waiting:
    """The time since the last chunk of a stream."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s, self._since = longest_s, time.monotonic()

    def check(self, found: bool) -> None:
        """Raise IdleError if no chunk was found for too long. `found` is true if one was found now."""
        now = time.monotonic()
        if found:
            self._since = now
        elif now - self._since > self._longest_s:
            raise IdleError(f"no part of the answer came for {self._longest_s:g} s")

    async def checked(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield all pieces. The time since the last chunk is checked at each piece."""
        async for piece in pieces:
            self.check(False)
            yield piece


async def _beginning(pieces: AsyncIterator[bytes], waiting: _Waiting) -> bytes:
    """The start of a response, up to the end of the first piece that is not only white space.

    White space and a byte order mark at the start are left out. The result is b"" if the response is empty.
    """
    start = b""
    async for piece in pieces:
        waiting.check(False)
        start = (start + piece).lstrip()
        if not BOM.startswith(start[: len(BOM)]):
            return start
        if len(start) > len(BOM):
            start = start.removeprefix(BOM).lstrip()
            if start:
                return start
    return start.removeprefix(BOM)


def _is_json(first: bytes, kind: str) -> bool:
    """True if a response is JSON and not an event stream. Some gateways send a wrong content type.

    `first` are the first bytes of the response. An event stream begins with a colon, or with the name of a field:
    data, event, id or retry.
    """
    return first.startswith((b"{", b"[")) or (
        kind == "application/json" and not first.startswith((b":", b"d", b"e", b"i", b"r"))
    )


async def _chained(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


def _of_json(body: bytes) -> tuple[str, list[Any]]:
    """The chunks of a response that is not an event stream, and the field that holds their text.

    The response is one JSON object, or one JSON object per line. Raises NotAnApiError for other responses.
    """
    try:
        chunks = [json.loads(body)]
    except (ValueError, RecursionError):
        try:
            chunks = [_decoded(line.decode()) for line in body.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise NotAnApiError from None
    if not chunks or not all(_is_chunk(one) for one in chunks):
        raise NotAnApiError
    return MESSAGE if len(chunks) == 1 else DELTA, chunks


def _is_chunk(value: Any) -> bool:
    return isinstance(value, dict) and ("choices" in value or "usage" in value or is_error(value))


def is_error(chunk: Mapping[str, Any]) -> bool:
    """True if a chunk or a whole response is an error.

    Usually the field `error` holds the error. Some servers, such as older versions of vLLM, send the fields of the
    error at the top level instead. FastAPI sends only the field `detail`.
    """
    if chunk.get("error"):
        return True
    flat = chunk.get("object") == "error" or chunk.get("type") == "error" or "detail" in chunk
    return "choices" not in chunk and (flat or "code" in chunk) and bool(message_of(chunk))


class ErrorChunkError(BrokenStreamError):
    """The server sent an error in a response with status 200, either instead of the answer or after a part of it.

    `status` is 503 if a part of the answer came before the error. If the error came first, `status` is the HTTP
    status in the error, or 400 if the error holds no status.
    """

    def __init__(self, chunk: dict[str, Any], begun: bool) -> None:
        self.message = message_of(chunk) or "an error in the stream"
        super().__init__(self.message)
        error = chunk.get("error")
        code = error.get("code") if isinstance(error, dict) else chunk.get("code")
        named = code if isinstance(code, int) and 400 <= code < 600 else 400
        self.status, self.body = (IN_THE_MIDDLE if begun else named), chunk


class ChunkReader:
    """Reads the chunks of a stream from its bytes."""

    open_now = 0  # number of open streams of all clients in this process; all streams share one event loop

    def __init__(self) -> None:
        self.done = False  # True after the event [DONE]
        self._events = EventReader()
        self._begun = False
        self._last: SentEvent | None = None
        self._ids_differ = True  # False after two different events had the same id

    def feed(self, piece: bytes) -> list[Any]:
        """Return the chunks that are complete after this piece.

        Raises NotAnApiError if the stream begins like a web page, and BrokenStreamError if the stream cannot be read.
        """
        if not self._begun and piece.strip():
            self._begun = True
            if piece.lstrip()[:1] == b"<":
                raise NotAnApiError
        return self._chunks(self._read(lambda: self._events.feed(piece)))

    def end(self) -> list[Any]:
        """If the stream ended without an empty line after its last chunk, return this chunk.

        Raises BrokenStreamError.
        """
        return self._chunks(self._read(self._events.end))

    @staticmethod
    def _read(events: Callable[[], list[SentEvent]]) -> list[SentEvent]:
        try:
            return events()
        except ValueError as error:  # an event is too long
            raise BrokenStreamError(str(error)) from None

    def _chunks(self, events: list[SentEvent]) -> list[Any]:
        chunks = []
        for event in events:
            if self.done:
                break
            if event.type:
                if _KEEP_ALIVE.fullmatch(event.type):
                    continue
                if event.type == b"error":
                    raise BrokenStreamError(_message(event.data))
            if event.data[:1] == b"{":
                if event.id is not None and self._came_before(event):
                    continue
            elif event.data.strip() == DONE:
                self.done = True
                continue
            elif _KEEP_ALIVE.fullmatch(event.data.strip()):
                continue
            try:
                chunks.append(_decoded(event.data.decode()))
            except UnicodeDecodeError:
                raise BrokenStreamError("a chunk is not text in UTF-8") from None
            except ValueError:
                raise BrokenStreamError("a chunk is not JSON") from None
            except RecursionError:
                raise BrokenStreamError("a chunk is nested too deeply") from None
        return chunks

    def _came_before(self, event: SentEvent) -> bool:
        """True if a gateway sent the same event twice. The two events then have the same content and the same id.

        Some servers give all events of a stream the same id. After two different events with the same id, the
        result is always False.
        """
        last, self._last = self._last, event
        if last is None or last.id != event.id or not event.id:
            return False
        if last.data != event.data:
            self._ids_differ = False
        return self._ids_differ


def _message(data: bytes) -> str:
    """The error message in `data`, the data of an event whose type is `error`."""
    try:
        message = message_of(json.loads(data))
    except (ValueError, RecursionError):
        message = data[:MOST_ERROR_BYTES].decode(errors="replace")
    return " ".join(message.split()) or "an error in the stream"


async def _read_to_end(pieces: AsyncIterator[bytes]) -> None:
    """Wait until the server ends its response.

    If faq-tui did not wait, the server would count the request as aborted.

    Errors are ignored, because the answer is already complete.
    """
    try:
        async with asyncio.timeout(AFTER_DONE_S):
            async for _ in pieces:
                pass
    except Exception:  # noqa: BLE001  the answer is already complete
        return
