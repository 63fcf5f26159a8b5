"""Send the first request to a server, which shows if it answers, accepts the key and serves the model."""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import dataclass
from typing import Any, TypeVar

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError
from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints.client import Client, NotAnApiError, StatusError
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.endpoints.pool import run_bounded
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.settings import EMBEDDED, Endpoint

E = TypeVar("E", bound=Endpoint)

# What a model's entry states about the server. (vLLM's `created` is the time of the request.)
IDENTIFYING = ("id", "owned_by", "root", "parent", "max_model_len")
PROBE_TIMEOUT_S = 8.0  # short enough that an error is shown within 15 s after the command's start


class DownError(EndpointError):
    """The server does not answer now, but may answer later."""


@dataclass(frozen=True)
class ServerDescription:
    """The facts in a server's list of models."""

    names: tuple[str, ...] = ()  # the names of the server's models; () if it cannot list them
    max_model_len: int | None = None  # limit for prompt and answer together, in tokens; vLLM and SGLang report it
    identity: str = ""  # a hash of what the server states about the model; "" if it states nothing


async def probe(client: Client, endpoint: Endpoint, cancel: CancelToken | None = None) -> list[str]:
    """The names of the served models; [] if the server cannot list them.

    Raises EndpointError (not reachable, key refused, or another model is served), and Stopped at once after a cancel.
    """
    return list((await look(client, endpoint, cancel)).names)


async def look(client: Client, endpoint: Endpoint, cancel: CancelToken | None = None) -> ServerDescription:
    """Like `probe`, but the result also has the window of the model."""
    descriptions: list[ServerDescription] = []

    async def one(_: Endpoint) -> None:
        descriptions.append(await _look(client, endpoint))

    await run_bounded([endpoint], one, 1, cancel or CancelToken())
    client.learned.described(descriptions[0].identity, descriptions[0].max_model_len)
    return descriptions[0]


async def _look(client: Client, endpoint: Endpoint) -> ServerDescription:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            models = _listed(await client.get_json("/models"))
    except Exception as error:
        if isinstance(error, StatusError) and (error.status in (404, 405, 501) or error.status >= 500):
            return (
                ServerDescription()
            )  # some servers have no model list, or a broken one; the first real request will show if they work
        fault = explain(error, endpoint)
        if fault is None:
            raise
        raise (EndpointError if fault.connected else DownError)(fault.advice) from None
    names = tuple(models)
    if names and endpoint.model not in names:
        near = difflib.get_close_matches(endpoint.model, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"it serves {', '.join(names[:5])}"
        raise EndpointError(f"{endpoint.base_url} does not serve model {endpoint.model!r}; {hint}")
    if endpoint.model not in models:
        return ServerDescription(names)
    model = models[endpoint.model]
    stated = [str(model.get(key))[:200] for key in IDENTIFYING]
    length = model.get("max_model_len")
    return ServerDescription(names, length if isinstance(length, int) and length > 0 else None, digest(stated))


def _listed(body: Any) -> dict[str, dict[str, Any]]:
    """Map the name of each model to its entry. Raises NotAnApiError if the body is no list of models.

    Some servers send only the list, without an object around it.
    """
    if isinstance(body, list) and body:
        body = {"data": body}
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(data, list | None) or "data" not in body:
        raise NotAnApiError
    models: dict[str, dict[str, Any]] = {}
    for model in data or ():
        if not isinstance(model, dict):
            raise NotAnApiError
        models[str(model.get("id"))] = model
    return models


def reachable(context: Context, endpoint: E) -> E:
    """The endpoint with the URL of a running server. If it is the embedded server, this function starts it."""
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
