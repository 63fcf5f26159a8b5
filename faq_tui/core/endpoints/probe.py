"""Send the first request to a server, which shows if it answers, accepts the key and serves the model."""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import dataclass
from typing import Any, TypeVar

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError
from faq_tui.core.endpoints.bounded import run_bounded
from faq_tui.core.endpoints.client import Client, NotAnApiError, StatusError
from faq_tui.core.endpoints.faults import RequestFault, explain
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.settings import EMBEDDED, Endpoint

E = TypeVar("E", bound=Endpoint)

PROBE_TIMEOUT_S = 8.0  # short enough that an error is shown within 15 s after the command's start


EMBEDDED_PATIENCE_S = 60.0


class DownError(EndpointError):
    """The server does not answer now, but may answer later."""

    def __init__(self, fault: RequestFault) -> None:
        super().__init__(fault.advice)
        self.fault = fault


@dataclass(frozen=True)
class ServerDescription:
    """The facts in a server's list of models."""

    names: tuple[str, ...] = ()  # the names of the server's models; () if it cannot list them
    max_model_len: int | None = None  # limit for prompt and answer together, in tokens; vLLM and SGLang report it


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
    return descriptions[0]


async def _look(client: Client, endpoint: Endpoint) -> ServerDescription:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            listed = _listed(await client.get_json("/models"))
    except Exception as error:
        if isinstance(error, StatusError) and (error.status in (404, 405, 501) or error.status >= 500):
            return (
                ServerDescription()
            )  # some servers have no model list, or a broken one; the first real request will show if they work
        fault = explain(error, endpoint)
        if fault is None:
            raise
        raise (DownError(fault) if fault.retry else EndpointError(fault.advice)) from None
    names = tuple(listed)
    if names and endpoint.model not in names:
        near = difflib.get_close_matches(endpoint.model, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"it serves {', '.join(names[:5])}"
        raise EndpointError(f"{endpoint.base_url} does not serve model {endpoint.model!r}; {hint}")
    return ServerDescription(names, listed.get(endpoint.model))


def _listed(body: Any) -> dict[str, int | None]:
    """Map the name of each model to its window in tokens. Raises NotAnApiError if the body is no list of models.

    Some servers send only the list, without an object around it.
    """
    if isinstance(body, list) and body:
        body = {"data": body}
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(data, list | None) or "data" not in body:
        raise NotAnApiError
    windows: dict[str, int | None] = {}
    for model in data or ():
        if not isinstance(model, dict):
            raise NotAnApiError
        length = model.get("max_model_len")
        windows[str(model.get("id"))] = length if isinstance(length, int) and length > 0 else None
    return windows


def reachable(context: Context, endpoint: E) -> E:
    """The endpoint with the URL of a running server. If it is the embedded server, this function starts it.

    If the embedded server ends, nothing starts it again, so the wait for it is short.
    """
    if endpoint.base_url != EMBEDDED:
        return endpoint
    if EMBEDDED not in context.servers:
        from faq_tui.core.embedded import running_server

        context.emit(Note("starting the embedded server on this machine"))
        server = context.resources.enter_context(
            running_server(context.run.log(context.job), lambda text: context.emit(Note(text)))
        )
        context.servers[EMBEDDED] = server.base_url
    patience_s = min(endpoint.patience_s, EMBEDDED_PATIENCE_S)
    return endpoint.model_copy(update={"base_url": context.servers[EMBEDDED], "patience_s": patience_s})
