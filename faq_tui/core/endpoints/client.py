"""The client of one endpoint: it writes a request, finds the API key, and reads a response that is not streamed."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from faq_tui.core.base.errors import UsageError
from faq_tui.core.endpoints.http import HttpRequest, ResponseHead, Sink, exchange
from faq_tui.core.endpoints.route import Route
from faq_tui.core.settings import Endpoint
from faq_tui.core.settings.source import LOCAL

MOST_ERROR_BYTES = 1 << 16
MOST_JSON_BYTES = 64 << 20


class NotAnApiError(Exception):
    """The response is a web page: no API listens at this URL, and another try cannot help."""


class StatusError(Exception):
    """The response has an HTTP status other than 200."""

    def __init__(
        self, status: int, message: str, retry_after: str | None = None, location: str | None = None
    ) -> None:
        super().__init__(f"HTTP {status} {message}".strip())
        self.status, self.message, self.retry_after, self.location = status, message, retry_after, location


def api_key(endpoint: Endpoint) -> str:
    """The API key from the environment variable that the endpoint names. UsageError if the variable is not set."""
    if endpoint.api_key_env is None:
        return "none"  # local servers need no key, but some require the header
    key = key_of(endpoint)
    if key is None:
        raise UsageError(f"${endpoint.api_key_env} is not set: export the key for {endpoint.base_url} in it")
    return key


def key_of(endpoint: Endpoint) -> str | None:
    """The API key; None if the endpoint names no environment variable, or the variable is not set."""
    return (os.environ.get(endpoint.api_key_env, "").strip() or None) if endpoint.api_key_env else None


class Client:
    """Sends requests to one endpoint. It neither retries a request nor limits the total time; its caller does both.

    Every request has its own connection. Servers close a connection after a stream or when it is idle, and a request
    fails if it is sent at that moment.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        if endpoint.base_url == LOCAL:
            raise UsageError(f'the source of {endpoint.model} is "local": it has no server that could be asked')
        self.endpoint = endpoint
        self._path = urlsplit(endpoint.base_url).path.rstrip("/")
        self._route = Route(endpoint.base_url)
        key = api_key(endpoint)
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                f"the key in ${endpoint.api_key_env} holds characters that no header can: export it again"
            )
        basic = self._route.credentials if endpoint.api_key_env is None else None
        self._headers = {"Authorization": basic or f"Bearer {key}", "User-Agent": "faq-tui"}

    async def post(self, path: str, body: dict[str, Any], sink: Sink) -> None:
        """Send `body` as JSON. Raises the same errors as `exchange`."""
        data = json.dumps(body, ensure_ascii=True).encode()  # UTF-8 cannot encode a lone surrogate in a seed
        headers = {**self._headers, "Content-Type": "application/json"}
        await self._exchange(HttpRequest("POST", f"{self._path}{path}", headers, data), sink)

    async def get(self, path: str, sink: Sink) -> None:
        await self._exchange(HttpRequest("GET", f"{self._path}{path}", self._headers), sink)

    async def _exchange(self, request: HttpRequest, sink: Sink) -> None:
        e = self.endpoint
        await exchange(self._route, request, sink, e.connect_timeout_s, e.idle_timeout_s)


@asynccontextmanager
async def open_client(endpoint: Endpoint) -> AsyncIterator[Client]:
    """A client for the first server of the endpoint."""
    yield Client(endpoint)


class WholeResponse:
    """Reads a response that is not streamed to its end. Raises StatusError unless its status is 200."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._body = bytearray()

    def head(self, head: ResponseHead) -> None:
        self.status, self.headers = head.status, head.headers

    def body(self, data: bytes) -> bool:
        self._body += data
        if len(self._body) > (MOST_JSON_BYTES if self.status == 200 else MOST_ERROR_BYTES):
            raise NotAnApiError if self.status == 200 else self._refusal()
        return False

    def end(self) -> None:
        if self.status != 200:
            raise self._refusal()

    def json(self) -> Any:
        """The parsed body. Raises NotAnApiError if it is not JSON."""
        try:
            return json.loads(self._body)
        except (ValueError, RecursionError):
            raise NotAnApiError from None

    def _refusal(self) -> StatusError:
        try:
            message = message_of(json.loads(self._body))
        except (ValueError, RecursionError):
            message = ""
        return StatusError(self.status, message, self.headers.get("retry-after"), self.headers.get("location"))


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
