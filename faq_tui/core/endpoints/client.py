"""The client of one endpoint finds the API key, sends requests, and reads the responses."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.secrets import Secrets
from faq_tui.core.endpoints.capabilities import LearnedCapabilities
from faq_tui.core.endpoints.stream_ends import StreamEnds
from faq_tui.core.endpoints.transport import CutOffError, IdleError, Transport
from faq_tui.core.settings import Endpoint
from faq_tui.core.settings.secrets import secrets_of_endpoint
from faq_tui.core.settings.source import LOCAL

MOST_ERROR_BYTES = 1 << 16
IDLE_TIMES = 10  # bytes that carry no part of the answer keep a request open for at most this many idle times
MOST_JSON_BYTES = 64 << 20
# a page with one of these HTTP statuses says what is wrong with the request
REFUSAL_STATUS = frozenset({400, 413, 422})
MOST_PAGE_CHARACTERS = 1 << 14
_UNSEEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
# Largest size of a response after decompression. Four million chunks of 500 bytes each fit into it, and each chunk
# holds at least one token.
MOST_STREAM_BYTES = 2 << 30
# The content encodings that are accepted. With other encodings, a small piece of a response could decompress to
# gigabytes.
ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})


class NotAnApiError(Exception):
    """The response is a web page. There is no API at this URL, so another try cannot help."""


class StatusError(Exception):
    """The response has an HTTP status other than 200.

    `body` is the parsed JSON of the response, or None if the response is not JSON.
    """

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
    """The API key. The endpoint names the environment variable that holds the key.

    Raises UsageError if the variable is not set.
    """
    if endpoint.api_key_env is None:
        return "none"  # local servers do not check the key, but some refuse a request without a key
    key = key_of(endpoint)
    if key is None:
        raise UsageError(
            f"${endpoint.api_key_env} is not set: set this environment variable to the key for {endpoint.shown_url}"
        )
    return key


def key_of(endpoint: Endpoint) -> str | None:
    """The API key. None if the endpoint names no environment variable, or if the variable is not set."""
    return (os.environ.get(endpoint.api_key_env, "").strip() or None) if endpoint.api_key_env else None


class Response:
    """A response with the status 200, whose body is read in pieces."""

    def __init__(self, raw: Any) -> None:
        """`raw` is an httpx2.Response."""
        self._raw = raw

    @property
    def kind(self) -> str:
        """The media type, in lower case and without parameters."""
        return str(self._raw.headers.get("content-type", "")).partition(";")[0].strip().lower()

    async def pieces(self, most_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the decompressed body as it arrives. Raises CutOffError if the body is longer than `most_bytes`."""
        most = MOST_STREAM_BYTES if most_bytes is None else most_bytes
        async with aclosing(_pieces(self._raw)) as pieces:
            async for piece in pieces:
                most -= len(piece)
                if most < 0:
                    raise CutOffError("the answer is too long")
                yield piece

    async def json(self) -> Any:
        """The parsed body. Raises NotAnApiError if the body is not JSON, or if it is longer than MOST_JSON_BYTES."""
        async with aclosing(_pieces(self._raw)) as pieces:
            body = await joined(pieces)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise NotAnApiError from None


async def joined(pieces: AsyncIterator[bytes], start: bytes = b"") -> bytes:
    """`start` and all pieces, joined. Raises NotAnApiError if the result is longer than MOST_JSON_BYTES."""
    body = bytearray(start)
    async for piece in pieces:
        body += piece
        if len(body) > MOST_JSON_BYTES:
            raise NotAnApiError
    return bytes(body)


class Client:
    """Sends requests to one endpoint.

    The client neither retries requests nor limits their total time; the caller must do both.

    Use the client as an async context manager, or close it at the end. Every request has its own connection.
    """

    def __init__(self, endpoint: Endpoint, learned: LearnedCapabilities | None = None) -> None:
        """`learned` holds the known facts about the server.

        By default nothing is known, and new facts are not stored.
        """
        if endpoint.base_url == LOCAL:
            raise UsageError(f'the source of {endpoint.model} is "local", so it has no server')
        self.endpoint = endpoint
        self.stream_ends = StreamEnds()
        self.learned = learned or LearnedCapabilities()
        key = api_key(endpoint)
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                f"the key in ${endpoint.api_key_env} has characters that are not allowed in HTTP headers: "
                "set this environment variable to the right key"
            )
        # A server may repeat a key in its response. The key must not be stored, so it is masked in all responses.
        self.secrets = secrets_of_endpoint(endpoint)
        self._transport = Transport(endpoint, key, self._refuse)

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
        """Send `body` as JSON and yield the response. The connection is closed at the end of the block.

        Raises StatusError unless the status is 200. Raises OSError (for example IdleError, CutOffError or ProxyError)
        or UnicodeError if the request fails. The same errors can be raised while the block reads the response.
        """
        # Only ASCII is written, because UTF-8 cannot encode a lone surrogate, which a seed may contain.
        content = None if body is None else json.dumps(body, ensure_ascii=True).encode()
        try:
            raw = await self._head(method, path, content, dict(headers or {}))
            try:
                yield Response(raw)
            finally:
                await raw.aclose()
        except Exception as error:
            translated = self._transport.translated(error)
            if translated is error:
                raise
            raise translated from None

    async def _head(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> Any:
        """Send the request, and return its httpx2.Response after the head has arrived.

        A head may take longer than the idle time, if a proxy keeps the connection open. Raises IdleError after
        `longest_wait_s`, which includes the time to read the body of a refusal.
        """
        try:
            async with asyncio.timeout(self.longest_wait_s) as limit:
                return await self._transport.send(method, path, content, headers)
        except TimeoutError:
            if limit.expired():
                raise IdleError(f"no complete answer began within {self.longest_wait_s:g} s") from None
            raise

    @property
    def longest_wait_s(self) -> float:
        """The longest wait for the head of a response, and for the next chunk of a stream, in seconds.

        A server can send bytes that carry no part of the answer, such as pings. Without a limit on the whole wait,
        pings could keep a request open for ever.
        """
        return IDLE_TIMES * self.endpoint.idle_timeout_s

    async def get_json(self, path: str) -> Any:
        """Send a GET request, and return the parsed body. Raises the errors of `request` and of `Response.json`."""
        async with self.request("GET", path) as response:
            return self.secrets.masked_in(await response.json())

    async def _refuse(self, raw: Any) -> None:
        """Raise StatusError unless the status is 200."""
        if raw.status_code != 200:
            raise await _refusal(raw, self.secrets)


async def _refusal(raw: Any, secrets: Secrets) -> StatusError:
    """The error of a response, without secrets. At most MOST_ERROR_BYTES of the body are read."""
    import httpx2

    body = bytearray()
    with suppress(CutOffError, httpx2.HTTPError):  # if the body cannot be read, the status is still reported
        async with aclosing(_pieces(raw)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > MOST_ERROR_BYTES:
                    break
    try:
        parsed = secrets.masked_in(json.loads(body))
        message = message_of(parsed)
    except (ValueError, RecursionError):
        parsed, message = None, _plain_text(raw, body)
    wait, location = _wait_of(raw.headers), raw.headers.get("location")
    # A location may repeat the query of the request, which may hold a key.
    location = None if location is None else secrets.masked(location)
    return StatusError(raw.status_code, secrets.masked(message), wait, location, parsed)


def _wait_of(headers: Mapping[str, str]) -> str | None:
    """The text of the header Retry-After.

    Azure and OpenAI also send a header with milliseconds. The header with milliseconds is more exact, so it is
    preferred.
    """
    with suppress(KeyError, ValueError):
        return str(float(headers["retry-after-ms"]) / 1000)
    return headers.get("retry-after")


def _plain_text(raw: Any, body: bytes | bytearray) -> str:
    """The text of a refusal whose body is not JSON.

    Gateways describe a wrong request as plain text, as a web page or as XML. If the status is in REFUSAL_STATUS, this
    text is returned without its tags. With another status, a web page only describes the status in general, so the
    result is "".
    """
    kind = raw.headers.get("content-type", "").partition(";")[0].strip().lower()
    text = body.decode(errors="replace").strip()
    if kind == "text/plain" and text[:1] not in "<":
        return " ".join(text.split())
    if raw.status_code not in REFUSAL_STATUS or not (kind.startswith("text/") or "xml" in kind):
        return ""
    return " ".join(html.unescape(_TAG.sub(" ", _UNSEEN.sub(" ", text[:MOST_PAGE_CHARACTERS]))).split())


def _pieces(raw: Any) -> Any:
    """An async generator of the decompressed body.

    Raises CutOffError if the body has an encoding that is not accepted.
    """
    encoding = raw.headers.get("content-encoding", "").strip().lower()
    if encoding not in ENCODINGS:
        raise CutOffError(f"the answer is compressed with {encoding[:40]!r}, but faq-tui did not ask for this")
    return raw.aiter_bytes() if encoding not in ("", "identity") else raw.aiter_raw()


def message_of(body: Any) -> str:
    """The message in an error body.

    This function reads the error bodies of OpenAI, vLLM, SGLang, FastAPI and llama.cpp. The result is "" if
    there is no message.
    """
    if not isinstance(body, dict):
        return ""
    inner = body.get("error", body)
    if isinstance(inner, dict):
        inner = next((inner[name] for name in ("message", "detail", "msg") if inner.get(name)), "")
    try:
        return " ".join(str(inner)[:MOST_ERROR_BYTES].split()) if inner else ""
    except RecursionError:
        return ""
