"""The `openai` client of one endpoint, and where its key comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from faq_tui.core.errors import UsageError
from faq_tui.core.settings import Endpoint

if TYPE_CHECKING:
    from openai import AsyncOpenAI


LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def api_key(endpoint: Endpoint) -> str:
    """The key in the named environment variable. UsageError if it is named but not set."""
    if endpoint.api_key_env is None:
        return "none"  # local servers ask for no key, the client library for a non-empty one
    key = key_of(endpoint)
    if key is None:
        raise UsageError(f"${endpoint.api_key_env} is not set: export the key for {endpoint.base_url} in it")
    return key


def key_of(endpoint: Endpoint) -> str | None:
    """The key, or None where none is named or set."""
    return (os.environ.get(endpoint.api_key_env, "").strip() or None) if endpoint.api_key_env else None


def open_client(endpoint: Endpoint) -> AsyncOpenAI:
    """A client that neither retries nor caps the total time: both are ours to decide."""
    import httpx2  # the client library's transport
    import openai

    timeout = httpx2.Timeout(endpoint.idle_timeout_s, connect=endpoint.connect_timeout_s, pool=None)
    local = urlsplit(endpoint.base_url).hostname in LOOPBACK
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=api_key(endpoint),
        organization="",  # never what another tool's environment says
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAsyncHttpxClient(
            timeout=timeout,
            # Servers close a connection after a stream, or when it was idle: a request sent on it just then fails.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=not local,  # a proxy cannot reach this machine's own loopback
        ),
    )
