"""The words of held-out items, so that a person can read what a measurement was made on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from faq_tui.core.store.database import Store

# Selects the items that the unquantized target was measured on, since every artefact is compared with it. The
# signature of a measurement is "subject.items.dtype.device", hashes without a dot (core.evaluation.identity).
MEASURED = """text = :text AND EXISTS (
  SELECT 1 FROM measurements AS m
  WHERE m.subject = 'unquantized' AND m.text = :text AND instr(m.signature, '.' || heldout_items.items || '.')
)"""


def replace_items(store: Store, text: str, items: str, bodies: Sequence[dict[str, Any]]) -> None:
    """Store the words of a text's items, one of `bodies` for each item, in the order of a measurement's columns.

    `items` is the hash of the items. Words of other items of the text are removed, except for those of the items that
    are measured. Nothing is written if the database holds exactly these already.
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
    """The words of the measured items of a text; empty if they were not stored."""
    rows = store.db.execute(f"SELECT body FROM heldout_items WHERE {MEASURED} ORDER BY number", {"text": text})
    return [json.loads(row["body"]) for row in rows]


def one_item(store: Store, text: str, number: int) -> dict[str, Any]:
    """The words of the measured item `number` (from 0); empty if they were not stored."""
    query = f"SELECT body FROM heldout_items WHERE {MEASURED} AND number = :number"
    row = store.db.execute(query, {"text": text, "number": number}).fetchone()
    return {} if row is None else dict(json.loads(row["body"]))
