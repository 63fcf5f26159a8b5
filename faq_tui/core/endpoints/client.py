"""The client of one endpoint: how a request is written, and where its key comes from."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from faq_tui.core.base.errors import UsageError
from faq_tui.core.endpoints.http import HttpRequest, Sink, exchange
from faq_tui.core.endpoints.route import LOOPBACK, Route
from faq_tui.core.settings import Endpoint
from faq_tui.core.settings.source import LOCAL

__all__ = ["LOOPBACK", "Client", "api_key", "key_of", "open_client"]


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


class Client:
    """Neither retries nor caps the total time: both are its user's to decide. Every request has its own connection,

    since servers close one after a stream or when it was idle, and a request sent on it just then fails.
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
        """Send `body` as JSON. Raises what `exchange` does."""
        data = json.dumps(body, ensure_ascii=True).encode()  # a lone surrogate in a seed is no UTF-8
        headers = {**self._headers, "Content-Type": "application/json"}
        await self._exchange(HttpRequest("POST", f"{self._path}{path}", headers, data), sink)

    async def get(self, path: str, sink: Sink) -> None:
        await self._exchange(HttpRequest("GET", f"{self._path}{path}", self._headers), sink)

    async def _exchange(self, request: HttpRequest, sink: Sink) -> None:
        e = self.endpoint
        await exchange(self._route, request, sink, e.connect_timeout_s, e.idle_timeout_s)


@asynccontextmanager
async def open_client(endpoint: Endpoint) -> AsyncIterator[Client]:
    """A client of the endpoint's (first) server."""
    yield Client(endpoint)
