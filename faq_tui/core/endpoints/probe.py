"""The first question to a server: are you there, do you take our key, do you serve this model?"""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import dataclass
from typing import Any, TypeVar

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError
from faq_tui.core.endpoints.chat import NotAnApiError, StatusError, WholeResponse
from faq_tui.core.endpoints.client import Client
from faq_tui.core.endpoints.faults import explain, no_api
from faq_tui.core.endpoints.pool import run_bounded
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.settings import EMBEDDED, Endpoint

PROBE_TIMEOUT_S = 8.0  # with the start of the command, what is wrong is said within 15 s on a busy machine, too


class DownError(EndpointError):
    """Nobody answers there now; that may change."""


@dataclass(frozen=True)
class ServerDescription:
    """What a server says of itself."""

    names: tuple[str, ...] = ()  # of its models; () where it cannot list them
    max_model_len: int | None = None  # tokens of prompt and answer together; vLLM and SGLang tell it


async def probe(client: Client, endpoint: Endpoint, cancel: CancelToken | None = None) -> list[str]:
    """Names of the served models ([] where the server cannot list them). A cancel raises `Stopped` at once.

    Raises EndpointError: not reachable, key refused, or another model is served.
    """
    return list((await look(client, endpoint, cancel)).names)


async def look(client: Client, endpoint: Endpoint, cancel: CancelToken | None = None) -> ServerDescription:
    """The same with the rest of what the server says."""
    found: list[ServerDescription] = []

    async def one(_: Endpoint) -> None:
        found.append(await _look(client, endpoint))

    await run_bounded([endpoint], one, 1, cancel or CancelToken())
    return found[0]


async def _look(client: Client, endpoint: Endpoint) -> ServerDescription:
    answer = WholeResponse()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await client.get("/models", answer)
        listed = _listed(answer.json())
    except Exception as error:
        if isinstance(error, StatusError) and (error.status in (404, 405, 501) or error.status >= 500):
            return ServerDescription()  # some servers have no model list, or break on it; the first answer will tell
        fault = explain(error, endpoint)
        if fault is None:
            raise
        raise (EndpointError if fault.connected else DownError)(fault.advice) from None
    names = tuple(listed)
    if names and endpoint.model not in names:
        near = difflib.get_close_matches(endpoint.model, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"it serves {', '.join(names[:5])}"
        raise EndpointError(f"{endpoint.base_url} does not serve model {endpoint.model!r}; {hint}")
    return ServerDescription(names, listed.get(endpoint.model))


def _listed(body: Any) -> dict[str, int | None]:
    """Model name to window."""
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(data, list | None) or "data" not in body:
        raise NotAnApiError
    found: dict[str, int | None] = {}
    for model in data or ():
        if not isinstance(model, dict):
            raise NotAnApiError
        length = model.get("max_model_len")
        found[str(model.get("id"))] = length if isinstance(length, int) and length > 0 else None
    return found


__all__ = ["DownError", "ServerDescription", "look", "no_api", "probe"]


E = TypeVar("E", bound=Endpoint)


def reachable(context: Context, endpoint: E) -> E:
    """The endpoint with a URL that answers. Everything after this treats it as any other server."""
    if endpoint.base_url != EMBEDDED:
        return endpoint
    if EMBEDDED not in context.servers:
        from faq_tui.core.embedded import running_server

        context.emit(Note("starting the embedded server on this machine"))
        server = context.resources.enter_context(
            running_server(context.run.log(context.job), lambda text: context.emit(Note(text)))
        )
        context.servers[EMBEDDED] = server.base_url
    return endpoint.model_copy(update={"base_url": context.servers[EMBEDDED]})
