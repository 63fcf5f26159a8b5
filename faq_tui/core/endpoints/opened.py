"""Open the servers of an endpoint for the requests of one stage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from faq_tui.core.endpoints.answered import AnsweredServers
from faq_tui.core.endpoints.client import Client
from faq_tui.core.endpoints.pool import Pool
from faq_tui.core.endpoints.probe import reachable
from faq_tui.core.endpoints.remembered import remembered
from faq_tui.core.run.context import Context
from faq_tui.core.settings import Endpoint


@asynccontextmanager
async def open_pool(context: Context, endpoint: Endpoint) -> AsyncIterator[Pool]:
    """A pool of all servers of the endpoint. Before the block begins, a first request is sent to each server.

    Raises EndpointError if no server can be used, and Stopped if a stop was requested. The connections are closed at
    the end of the block.
    """
    each = [reachable(context, endpoint.model_copy(update={"base_url": url, "also_at": ()})) for url in endpoint.urls]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(one, remembered(context, one))) for one in each]
        pool = await stack.enter_async_context(Pool(clients, context.emit, AnsweredServers(context.run)))
        await pool.look(context.cancel)
        yield pool
