"""The client of one endpoint: where its key comes from, how a request is sent, how a response is read."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from faq_tui.core.base.errors import UsageError
from faq_tui.core.endpoints.transport import CutOffError, Transport
from faq_tui.core.settings import Endpoint
from faq_tui.core.settings.source import LOCAL

MOST_ERROR_BYTES = 1 << 16
MOST_JSON_BYTES = 64 << 20
MOST_STREAM_BYTES = 2 << 30  # decompressed: a million tokens in chunks of 500 bytes are a quarter of it
ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})  # others turn a small piece into gigabytes at once


class NotAnApiError(Exception):
    """The response is a web page: no API listens at this URL, and another try cannot help."""


class StatusError(Exception):
    """The response has an HTTP status other than 200. `body` is its parsed JSON; None if it is no JSON."""

    def __init__(
        self,
        status: int,
        message: str,
        retry_after: str | None = None,
        location: str | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(f"HTTP {status} {message}".strip())
        self.status, self.message, self.retry_after, self.location = status, message, retry_after, location
        self.body = body


def api_key(endpoint: Endpoint) -> str:
    """The key in the named environment variable. UsageError if it is named but not set."""
    if endpoint.api_key_env is None:
        return "none"  # local servers ask for no key, some want the header all the same
    key = key_of(endpoint)
    if key is None:
        raise UsageError(f"${endpoint.api_key_env} is not set: export the key for {endpoint.base_url} in it")
    return key


def key_of(endpoint: Endpoint) -> str | None:
    """The key, or None where none is named or set."""
    return (os.environ.get(endpoint.api_key_env, "").strip() or None) if endpoint.api_key_env else None


class Response:
    """A response with the status 200, whose body is read in pieces."""

    def __init__(self, raw: Any) -> None:
        """`raw`: an httpx2.Response."""
        self._raw = raw

    @property
    def kind(self) -> str:
        """The media type, in lower case and without parameters."""
        return str(self._raw.headers.get("content-type", "")).partition(";")[0].strip().lower()

    async def pieces(self, most_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        """The body, decompressed, as it arrives. Raises CutOffError if it is longer than `most_bytes`."""
        most = MOST_STREAM_BYTES if most_bytes is None else most_bytes
        async with aclosing(_pieces(self._raw)) as pieces:
            async for piece in pieces:
                most -= len(piece)
                if most < 0:
                    raise CutOffError("the answer has no end")
                yield piece

    async def json(self) -> Any:
        """The parsed body. Raises NotAnApiError if it is no JSON, or longer than any list of models."""
        body = bytearray()
        async with aclosing(_pieces(self._raw)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > MOST_JSON_BYTES:
                    raise NotAnApiError
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise NotAnApiError from None


class Client:
    """Sends requests to one endpoint. It neither retries nor limits the total time: the caller does.

    Use it as an async context manager, or close it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        if endpoint.base_url == LOCAL:
            raise UsageError(f'the source of {endpoint.model} is "local": it has no server that could be asked')
        self.endpoint = endpoint
        key = api_key(endpoint)
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                f"the key in ${endpoint.api_key_env} holds characters that no header can: export it again"
            )
        self._transport = Transport(endpoint, key, _refuse)

    async def __aenter__(self) -> Self:
        self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    @asynccontextmanager
    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Response]:
        """Send `body` as JSON, and hand over the response; its connection is closed unless it is read to its end.

        Raises StatusError unless the status is 200, and OSError (IdleError, CutOffError and ProxyError among them) or
        UnicodeError; the block raises these, too, while it reads.
        """
        # A lone surrogate in a seed is no UTF-8.
        content = None if body is None else json.dumps(body, ensure_ascii=True).encode()
        try:
            raw = await self._transport.send(method, path, content, dict(headers or {}))
            try:
                yield Response(raw)
            finally:
                await raw.aclose()
        except Exception as error:
            translated = self._transport.translated(error)
            if translated is error:
                raise
            raise translated from None

    async def get_json(self, path: str) -> Any:
        """The parsed body of a GET request. Raises what `request` and `Response.json` raise."""
        async with self.request("GET", path) as response:
            return await response.json()


@asynccontextmanager
async def open_client(endpoint: Endpoint) -> AsyncIterator[Client]:
    """A client of the endpoint's (first) server. Its connections are closed with the block."""
    async with Client(endpoint) as client:
        yield client


async def _refuse(raw: Any) -> None:
    """Raise StatusError unless the status is 200. At most MOST_ERROR_BYTES of the body are read."""
    if raw.status_code == 200:
        return
    import httpx2

    body = bytearray()
    with suppress(CutOffError, httpx2.HTTPError):  # the status stands without its body
        async with aclosing(_pieces(raw)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > MOST_ERROR_BYTES:
                    break
    try:
        parsed = json.loads(body)
        message = message_of(parsed)
    except (ValueError, RecursionError):
        parsed, message = None, ""
    raise StatusError(raw.status_code, message, raw.headers.get("retry-after"), raw.headers.get("location"), parsed)


def _pieces(raw: Any) -> Any:
    """An async generator of the decompressed body. Raises CutOffError if nobody asked for its encoding."""
    encoding = raw.headers.get("content-encoding", "").strip().lower()
    if encoding not in ENCODINGS:
        raise CutOffError(f"the answer is compressed with {encoding[:40]!r}, which was not asked for")
    return raw.aiter_bytes() if encoding not in ("", "identity") else raw.aiter_raw()


def message_of(body: Any) -> str:
    """The message in an error body of OpenAI, vLLM, SGLang, FastAPI or llama.cpp; "" if there is none."""
    if not isinstance(body, dict):
        return ""
    inner = body.get("error", body)
    if isinstance(inner, dict):
        inner = next((inner[name] for name in ("message", "detail", "msg") if inner.get(name)), "")
    try:
        return " ".join(str(inner)[:MOST_ERROR_BYTES].split()) if inner else ""
    except RecursionError:
        return ""
