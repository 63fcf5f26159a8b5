"""Store what is known about the servers: which parameters they accept, and what their replies contain."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.hashing import digest
from faq_tui.core.base.secrets import without_credentials
from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class CapabilityRow:
    """The facts about one model on one server. `url` has no user, password or query."""

    url: str
    model: str
    facts: dict[str, Any]


def put(store: Store, base_url: str, model: str, facts: dict[str, Any]) -> None:
    """Store the facts about the model on this server. Earlier facts are replaced."""
    row = (digest(base_url), storable(model), storable(without_credentials(base_url)), json.dumps(facts), time.time())
    with store.writing() as db:
        db.execute("INSERT OR REPLACE INTO server_capabilities VALUES (?, ?, ?, ?, ?)", row)


def facts_of(store: Store, base_url: str, model: str) -> dict[str, Any]:
    """The facts about the model on the server; {} if there are none."""
    query = "SELECT facts FROM server_capabilities WHERE server = ? AND model = ?"
    row = store.db.execute(query, (digest(base_url), storable(model))).fetchone()
    return {} if row is None else dict(json.loads(row["facts"]))


def all_rows(store: Store) -> list[CapabilityRow]:
    """The facts about all models on all servers, in the order of the URLs."""
    query = "SELECT url, model, facts FROM server_capabilities ORDER BY url, model"
    return [CapabilityRow(row["url"], row["model"], json.loads(row["facts"])) for row in store.db.execute(query)]
