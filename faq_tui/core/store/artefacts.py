"""Artefacts (quantized model folders), held-out answers, and what was measured on them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.sanitize import storable
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class Artefact:
    """The target quantized by one recipe on one calibration set."""

    name: str  # of its folder under models/, unless `same_as` is set
    signature: str  # hash of recipe, token ids and target
    recipe: dict[str, Any]  # Recipe.identity
    set_name: str
    same_as: str | None  # another artefact of the same recipe and token ids, whose folder is used
    samples: int
    tokens: int
    bits: float  # average bits of a quantized weight
    seconds: float  # that quantizing took

    @property
    def folder(self) -> str:
        """The folder under `models/` that holds its weights."""
        return self.same_as or self.name


def add_artefact(store: Store, artefact: Artefact) -> None:
    """Store an artefact in place of an earlier one of its name, and forget why that one failed."""
    a = artefact
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO artefacts"
            " (name, signature, recipe, set_name, same_as, samples, tokens, bits, seconds, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(a.name, a.signature, json.dumps(a.recipe), a.set_name, a.same_as),
                *(a.samples, a.tokens, a.bits, a.seconds, time.time()),
            ),
        )
        db.execute("DELETE FROM artefact_failures WHERE name = ?", (a.name,))


def add_failure(store: Store, name: str, signature: str, message: str) -> None:
    """Store why the artefact could not be made. `add_artefact` removes it."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO artefact_failures (name, signature, message, created) VALUES (?, ?, ?, ?)",
            (name, signature, storable(message), time.time()),
        )


def all_failures(store: Store) -> dict[str, tuple[str, str]]:
    """Artefact name to (signature that was tried, why it failed)."""
    rows = store.db.execute("SELECT name, signature, message FROM artefact_failures")
    return {row["name"]: (row["signature"], row["message"]) for row in rows}


def all_artefacts(store: Store) -> dict[str, Artefact]:
    """Artefacts by name, the oldest first."""
    names = list(Artefact.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM artefacts ORDER BY created, name")
    return {row["name"]: Artefact(**{**dict(row), "recipe": json.loads(row["recipe"])}) for row in rows}


@dataclass(frozen=True)
class HeldoutAnswer:
    """An answer to a held-out seed, by the unquantized target or by a source, as the target's token ids."""

    seed_id: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    text: str


def add_heldout(store: Store, source_hash: str, answer: HeldoutAnswer) -> None:
    """Store an answer. `source_hash` hashes the model that answered and its settings (the column `generation`)."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO heldout_answers (seed_id, generation, prompt_ids, answer_ids, text)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                *(answer.seed_id, source_hash, json.dumps(answer.prompt_ids)),
                *(json.dumps(answer.answer_ids), answer.text),
            ),
        )


def heldout(store: Store, source_hash: str) -> dict[str, HeldoutAnswer]:
    """Seed id to answer, in the order in which they were stored."""
    query = "SELECT * FROM heldout_answers WHERE generation = ? ORDER BY rowid"
    return {
        row["seed_id"]: HeldoutAnswer(
            row["seed_id"],
            tuple(json.loads(row["prompt_ids"])),
            tuple(json.loads(row["answer_ids"])),
            row["text"],
        )
        for row in store.db.execute(query, (source_hash,))
    }


@dataclass(frozen=True)
class Measurement:
    """What was measured of one model on one held-out text: sums over the predicted tokens of each item."""

    subject: str  # an artefact's folder, or "unquantized"
    text: str  # name of the held-out text
    signature: str  # hash of subject, text and settings
    items: dict[str, list[float]]  # tokens, nll (nats), kl (nats, to unquantized), agree (top-1): a value an item
    token_kl: bytes | None = None  # KL divergence of each token, encoded by evaluation.token_kl


def add_measurement(store: Store, m: Measurement) -> None:
    """Store a measurement in place of an earlier one of the same subject and text."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO measurements (subject, text, signature, items, token_kl, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (m.subject, m.text, m.signature, json.dumps(m.items), m.token_kl, time.time()),
        )


def token_kl_of(store: Store, subject: str, text: str) -> bytes | None:
    """`Measurement.token_kl`, or None if it was not measured. `all_measurements` leaves it out, as it is large."""
    query = "SELECT token_kl FROM measurements WHERE subject = ? AND text = ?"
    row = store.db.execute(query, (subject, text)).fetchone()
    return None if row is None else row["token_kl"]


def all_measurements(store: Store) -> dict[tuple[str, str], Measurement]:
    """(subject, text) to measurement, each without its `token_kl`."""
    query = "SELECT subject, text, signature, items FROM measurements"  # without token_kl
    return {
        (row["subject"], row["text"]): Measurement(
            row["subject"], row["text"], row["signature"], json.loads(row["items"])
        )
        for row in store.db.execute(query)
    }
