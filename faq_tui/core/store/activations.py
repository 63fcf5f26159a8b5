"""What is known of activations: a row for each set, and one for each artefact's layer errors."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class ActivationsRow:
    set_name: str
    signature: str
    samples: int
    tokens: int
    seconds: float
    summary: dict[str, Any]  # places: [{layer, module, channels, ...statistics}], kinds, experts


def add_activations(store: Store, row: ActivationsRow) -> None:
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO activations (set_name, signature, samples, tokens, seconds, summary, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(row.set_name, row.signature, row.samples, row.tokens, row.seconds),
                *(json.dumps(row.summary), time.time()),
            ),
        )


def remove_activations(store: Store, set_name: str) -> None:
    with store.writing() as db:
        db.execute("DELETE FROM activations WHERE set_name = ?", (set_name,))


def all_activations(store: Store) -> dict[str, ActivationsRow]:
    names = list(ActivationsRow.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM activations ORDER BY rowid")
    return {row["set_name"]: ActivationsRow(**{**dict(row), "summary": json.loads(row["summary"])}) for row in rows}


@dataclass(frozen=True)
class LayerErrors:
    subject: str
    signature: str
    text: str
    tokens: int
    errors: list[float]


def add_layer_errors(store: Store, row: LayerErrors) -> None:
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO layer_errors (subject, signature, text, tokens, errors, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (row.subject, row.signature, row.text, row.tokens, json.dumps(row.errors), time.time()),
        )


def all_layer_errors(store: Store) -> dict[str, LayerErrors]:
    names = list(LayerErrors.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM layer_errors ORDER BY rowid")
    return {row["subject"]: LayerErrors(**{**dict(row), "errors": json.loads(row["errors"])}) for row in rows}
