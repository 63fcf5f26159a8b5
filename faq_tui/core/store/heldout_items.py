"""Held-out items as a person reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from faq_tui.core.store.database import Store


def replace_items(store: Store, text: str, items: Sequence[dict[str, Any]]) -> None:
    """`items` in the order of the measurements' columns. Nothing is written where they are there already."""
    if all_items(store, text) == list(items):
        return
    with store.writing() as db:
        db.execute("DELETE FROM heldout_items WHERE text = ?", (text,))
        db.executemany(
            "INSERT INTO heldout_items (text, number, body) VALUES (?, ?, ?)",
            [(text, number, json.dumps(item)) for number, item in enumerate(items)],
        )


def all_items(store: Store, text: str) -> list[dict[str, Any]]:
    rows = store.db.execute("SELECT body FROM heldout_items WHERE text = ? ORDER BY number", (text,))
    return [json.loads(row["body"]) for row in rows]


def one_item(store: Store, text: str, number: int) -> dict[str, Any]:
    """Empty where its words were not stored."""
    query = "SELECT body FROM heldout_items WHERE text = ? AND number = ?"
    row = store.db.execute(query, (text, number)).fetchone()
    return {} if row is None else dict(json.loads(row["body"]))
