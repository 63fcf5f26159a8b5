"""Send the first request to a server.

This request shows whether the server answers, accepts the API key and has the model.
"""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import dataclass
from typing import TypeVar

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError
from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints.bounded import run_bounded
from faq_tui.core.endpoints.client import Client, NotAnApiError, StatusError
from faq_tui.core.endpoints.faults import RequestFault, explain, no_api
from faq_tui.core.endpoints.model_list import is_partial, models_of, name_on, window_of
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.settings import EMBEDDED, Endpoint
from faq_tui.core.worker.parent import prepare_worker, without_keys

E = TypeVar("E", bound=Endpoint)

# A server that responds with one of these HTTP statuses has no list of models, or cannot send the list now.
CANNOT_LIST = frozenset({404, 405, 408, 409, 410, 425, 429, 501})
REFUSES_BODY = frozenset({400, 422})  # the HTTP statuses with which servers refuse a request that has no messages

# Fields of a model's entry that describe the server. The field `created` is left out, because it holds the time of
# the request in vLLM.
IDENTIFYING = ("id", "owned_by", "root", "parent", "max_model_len")
PROBE_TIMEOUT_S = 8.0  # this limit is short, so that a command shows an error within 15 s


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
    max_model_len: int | None = None  # largest number of tokens in prompt and answer together; many servers report it
    identity: str = ""  # a hash of the server's description of the model; "" if there is none


async def probe(client: Client, endpoint: Endpoint, cancel: CancelToken | None = None) -> list[str]:
    """The names of the models that the server serves. [] if the server cannot list them.

    Raises EndpointError if the server cannot be reached, refuses the key or serves another model. Raises Stopped
    as soon as a stop is requested.
    """
    return list((await look(client, endpoint, cancel)).names)


async def look(client: Client, endpoint: Endpoint, cancel: CancelToken | None = None) -> ServerDescription:
    """Like `probe`, but the result contains the window of the model, too."""
    descriptions: list[ServerDescription] = []

    async def one(_: Endpoint) -> None:
        descriptions.append(await _look(client, endpoint))

    await run_bounded([endpoint], one, 1, cancel or CancelToken())
    client.learned.described(descriptions[0].identity, descriptions[0].max_model_len)
    return descriptions[0]


async def _look(client: Client, endpoint: Endpoint) -> ServerDescription:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            body = await client.get_json("/models")
    except Exception as error:
        if isinstance(error, StatusError) and (error.status in CANNOT_LIST or error.status >= 500):
            return ServerDescription()  # the first real request will show whether the server works
        fault = explain(error, endpoint)
        if fault is None:
            raise
        if isinstance(error, StatusError | NotAnApiError) and await _has_chat(client, endpoint):
            return ServerDescription()
        raise (DownError(fault) if fault.retry else EndpointError(fault.advice)) from None
    models = models_of(body)
    if models is None or body == []:  # an empty list does not show whether the server has chat completions
        if await _has_chat(client, endpoint):
            return ServerDescription()
        raise EndpointError(no_api(endpoint))
    name = name_on(endpoint.model, models)
    if name is None and (not models or is_partial(body)):
        return ServerDescription(tuple(models))
    if name is None:
        near = difflib.get_close_matches(endpoint.model, models, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"it serves {', '.join(list(models)[:5])}"
        raise EndpointError(f"{endpoint.shown_url} does not serve model {endpoint.model!r}; {hint}")
    entry = models.get(name, {})
    stated = [str(entry.get(key))[:200] for key in IDENTIFYING]
    return ServerDescription(tuple(models), window_of(entry), digest(stated))


async def _has_chat(client: Client, endpoint: Endpoint) -> bool:
    """True if the server has chat completions. Call this if the server refuses to list its models.

    Some keys are not allowed to list models. Some servers have no list, and respond with a web page or a redirect.
    Therefore this function sends a chat request without messages. Servers refuse a request without messages, so it
    costs nothing.
    """
    body = {"model": endpoint.model, "messages": [], "max_tokens": 1, "stream": False}
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S), client.request("POST", "/chat/completions", body) as response:
            return response.kind == "text/event-stream" or isinstance(await response.json(), dict)
    except StatusError as error:
        return error.status in REFUSES_BODY and isinstance(error.body, dict)
    except (OSError, UnicodeError, NotAnApiError):
        return False


def reachable(context: Context, endpoint: E) -> E:
    """The endpoint with the URL of a running server.

    If `endpoint` names the embedded server, this function starts it.

    If the embedded server ends, nothing starts it again, so requests wait only a short time for the embedded server.
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
        # the embedded server leaves one CPU core free, so the next stages are prepared meanwhile
        if len(context.selected) > 1:
            prepare_worker(context.run.log(context.job), without_keys(context.run.settings))
    patience_s = min(endpoint.patience_s, EMBEDDED_PATIENCE_S)
    return endpoint.model_copy(update={"base_url": context.servers[EMBEDDED], "patience_s": patience_s})
