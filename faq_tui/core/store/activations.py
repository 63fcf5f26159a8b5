"""Measurements of activations: statistics for each calibration set, and errors of the artefacts' layers.

The arrays of a set are in the file `activations/<set>.safetensors`.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class ActivationsRow:
    """Statistics of the target's activations on one calibration set."""

    set_name: str
    signature: str  # hash of the target, the settings and the token ids
    samples: int  # number of samples on which activations were measured
    tokens: int
    seconds: float
    # A dict with the keys "places", "kinds", "experts" and "sinks". The value of "places" is a list of dicts with the
    # keys layer, module and channels, and a key for each statistic. The value of "sinks" is a list of
    # `sinks.LayerSink` as dicts. Rows of older versions have no "sinks".
    summary: dict[str, Any]


def add_activations(store: Store, row: ActivationsRow) -> None:
    """Store a set's activations. Earlier activations of the same set are replaced."""
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
    """Delete a set's activations from the database. The file with the arrays is not deleted."""
    with store.writing() as db:
        db.execute("DELETE FROM activations WHERE set_name = ?", (set_name,))


def all_activations(store: Store) -> dict[str, ActivationsRow]:
    """Activations by set name, in the order in which they were measured."""
    names = list(ActivationsRow.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM activations ORDER BY rowid")
    return {row["set_name"]: ActivationsRow(**{**dict(row), "summary": json.loads(row["summary"])}) for row in rows}


@dataclass(frozen=True)
class LayerErrors:
    """The errors of an artefact's layers on one held-out text, compared with the target's layers."""

    subject: str  # a folder under models/
    signature: str  # hash of subject, text and dtype
    text: str  # name of the held-out text
    tokens: int
    errors: list[float]  # relative error of each layer's output, in the order of the layers


def add_layer_errors(store: Store, row: LayerErrors) -> None:
    """Store an artefact's layer errors. Earlier errors of the same artefact are replaced."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO layer_errors (subject, signature, text, tokens, errors, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (row.subject, row.signature, row.text, row.tokens, json.dumps(row.errors), time.time()),
        )


def all_layer_errors(store: Store) -> dict[str, LayerErrors]:
    """Layer errors by subject, in the order in which they were measured."""
    names = list(LayerErrors.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM layer_errors ORDER BY rowid")
    return {row["subject"]: LayerErrors(**{**dict(row), "errors": json.loads(row["errors"])}) for row in rows}
