"""Store the last attempt at each unit of work that a process of its own did."""

from __future__ import annotations

import time
from dataclasses import dataclass

from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class UnitRow:
    """The last attempt at one unit. `inputs` is a hash of everything that the unit's result depends on."""

    name: str
    inputs: str
    state: str  # "done", "failed" or "stopped"
    message: str  # summary of the unit, or why it failed
    host: str  # name of the machine
    seconds: float


def put_unit(store: Store, row: UnitRow) -> None:
    """Store an attempt. It replaces the earlier attempt at the same unit."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO units (name, inputs, state, message, host, seconds, finished)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row.name, row.inputs, row.state, storable(row.message), row.host, row.seconds, time.time()),
        )


def all_units(store: Store) -> dict[str, UnitRow]:
    """Maps the names of units to their last attempts. Units that no process tried alone are omitted."""
    rows = store.db.execute("SELECT name, inputs, state, message, host, seconds FROM units")
    return {row["name"]: UnitRow(**dict(row)) for row in rows}
