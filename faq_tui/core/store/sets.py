"""What is known of each assembled calibration set; its samples are in `calibration/<set>.jsonl`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class SetRow:
    name: str
    ids_hash: str
    samples: int
    tokens: int
    tokens_full: int
    by_person: int
    refused: dict[str, int]


def add_set(store: Store, row: SetRow) -> None:
    values = (row.name, row.ids_hash, row.samples, row.tokens, row.tokens_full, row.by_person)
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO sets (name, ids_hash, samples, tokens, tokens_full, by_person, refused, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, json.dumps(row.refused), time.time()),
        )


def remove_set(store: Store, name: str) -> None:
    with store.writing() as db:
        db.execute("DELETE FROM sets WHERE name = ?", (name,))


def all_sets(store: Store) -> dict[str, SetRow]:
    names = list(SetRow.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM sets ORDER BY rowid")
    return {row["name"]: SetRow(**{**dict(row), "refused": json.loads(row["refused"])}) for row in rows}
