"""From `base_url = "embedded"` to a real server: started on loopback when first needed, ended with the stage."""

from __future__ import annotations

from typing import TypeVar

from faq_tui.core.events import Note
from faq_tui.core.settings import EMBEDDED, Endpoint
from faq_tui.core.stage import Context

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
