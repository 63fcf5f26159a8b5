"""Store the capabilities of servers in the database of a run, so that later stages know them from the start."""

from __future__ import annotations

from collections.abc import Callable

from faq_tui.core.base.secrets import without_credentials
from faq_tui.core.endpoints.capabilities import UNKNOWN, Capabilities, LearnedCapabilities
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.settings import EMBEDDED, Endpoint
from faq_tui.core.store import Store
from faq_tui.core.store import server_capabilities as rows


def remembered(context: Context, endpoint: Endpoint) -> LearnedCapabilities:
    """The capabilities of the endpoint's server.

    If the endpoint has several servers, the result describes the first one.

    New facts are stored in the run's database. If the server refuses parameters, the function emits a note about
    this.
    """
    # The embedded server has a different port after each start, so its facts are not stored under its URL.
    url = EMBEDDED if context.servers.get(EMBEDDED) == endpoint.base_url else endpoint.base_url
    known = known_capabilities(context.run.store, url, endpoint.model)
    return stored_in(
        context.run.store, url, endpoint.model, known, lambda sentence: context.emit(Note(sentence, "warning"))
    )


def stored_in(
    store: Store,
    base_url: str,
    model: str,
    known: Capabilities = UNKNOWN,
    say: Callable[[str], None] = lambda _: None,
) -> LearnedCapabilities:
    """Make a LearnedCapabilities that stores new facts in a run's database.

    If the server refuses parameters, `say` is called with a sentence about this.
    """

    def save(capabilities: Capabilities) -> None:
        rows.put(store, base_url, model, capabilities.to_json())

    return LearnedCapabilities(known, without_credentials(base_url), say, save)


def known_capabilities(store: Store, base_url: str, model: str) -> Capabilities:
    """The stored capabilities of the server for this model. If nothing is stored, the result has the defaults."""
    return Capabilities.from_json(rows.facts_of(store, base_url, model))
