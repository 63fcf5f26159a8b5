"""What is known of each assembled calibration set; its samples are in `calibration/<set>.jsonl`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class SetRow:
    name: str
    ids_hash: str
    samples: int
    tokens: int
    tokens_full: int  # of its samples before any was cut
    by_person: int
    refused: dict[str, int]  # reason to count
    answered: int = 0  # samples with an answer that could be cut
    whole_answers: int = 0  # those that still hold all of it
    ways: dict[str, int] = field(default_factory=dict)  # template | generation_prompt | inline | raw, to count

    @property
    def kept(self) -> float | None:
        """Share of its samples' tokens that was kept; None for a set without samples."""
        return self.tokens / self.tokens_full if self.tokens_full else None


def add_set(store: Store, row: SetRow) -> None:
    values = (
        *(row.name, row.ids_hash, row.samples, row.tokens, row.tokens_full, row.by_person),
        *(json.dumps(row.refused), row.answered, row.whole_answers, json.dumps(row.ways), time.time()),
    )
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO sets (name, ids_hash, samples, tokens, tokens_full, by_person, refused,"
            " answered, whole_answers, ways, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )


def remove_set(store: Store, name: str) -> None:
    with store.writing() as db:
        db.execute("DELETE FROM sets WHERE name = ?", (name,))


def all_sets(store: Store) -> dict[str, SetRow]:
    names = list(SetRow.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM sets ORDER BY rowid")
    return {row["name"]: _row(dict(row)) for row in rows}


def _row(values: dict[str, Any]) -> SetRow:
    return SetRow(**{**values, "refused": json.loads(values["refused"]), "ways": json.loads(values["ways"])})


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
