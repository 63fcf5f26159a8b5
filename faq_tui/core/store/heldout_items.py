"""Held-out items as a person reads them, beside the measurements of the very same items."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from faq_tui.core.store.database import Store

# Of a text, the items that the unquantized target was measured on: the others are compared with it. A signature is
# "subject.items.dtype.device", hashes without a dot (core.evaluation.identity).
MEASURED = """text = :text AND EXISTS (
  SELECT 1 FROM measurements AS m
  WHERE m.subject = 'unquantized' AND m.text = :text AND instr(m.signature, '.' || heldout_items.items || '.')
)"""


def replace_items(store: Store, text: str, items: str, bodies: Sequence[dict[str, Any]]) -> None:
    """Store the words of the items with the hash `items`, in the order of a measurement's columns.

    Those of the measured items stay until others are measured. Nothing is written where there is nothing but these.
    """
    values = [(items, json.dumps(body)) for body in bodies]
    rows = store.db.execute("SELECT items, body FROM heldout_items WHERE text = ? ORDER BY items, number", (text,))
    if [tuple(row) for row in rows] == values:
        return
    with store.writing() as db:
        names = {"text": text, "items": items}
        db.execute(f"DELETE FROM heldout_items WHERE text = :text AND (items = :items OR NOT ({MEASURED}))", names)
        db.executemany(
            "INSERT INTO heldout_items (text, items, number, body) VALUES (?, ?, ?, ?)",
            [(text, items, number, body) for number, (_, body) in enumerate(values)],
        )


def all_items(store: Store, text: str) -> list[dict[str, Any]]:
    """Of the measured items. Empty where the words of these were not stored."""
    rows = store.db.execute(f"SELECT body FROM heldout_items WHERE {MEASURED} ORDER BY number", {"text": text})
    return [json.loads(row["body"]) for row in rows]


def one_item(store: Store, text: str, number: int) -> dict[str, Any]:
    """Of the measured items. Empty where its words were not stored."""
    query = f"SELECT body FROM heldout_items WHERE {MEASURED} AND number = :number"
    row = store.db.execute(query, {"text": text, "number": number}).fetchone()
    return {} if row is None else dict(json.loads(row["body"]))
