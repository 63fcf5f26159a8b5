"""Quantized folders, held-out answers and measurements in the database."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.sanitize import storable
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class Artefact:
    """One recipe on one calibration set."""

    name: str
    signature: str
    recipe: dict[str, Any]
    set_name: str
    same_as: str | None
    samples: int
    tokens: int
    bits: float  # average, over the quantized weights
    seconds: float

    @property
    def folder(self) -> str:
        """The folder under `models/` that holds its weights."""
        return self.same_as or self.name


def add_artefact(store: Store, artefact: Artefact) -> None:
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
    """Why the artefact could not be made; gone once it is made."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO artefact_failures (name, signature, message, created) VALUES (?, ?, ?, ?)",
            (name, signature, storable(message), time.time()),
        )


def all_failures(store: Store) -> dict[str, tuple[str, str]]:
    """By artefact: the signature that was tried, and why it failed."""
    rows = store.db.execute("SELECT name, signature, message FROM artefact_failures")
    return {row["name"]: (row["signature"], row["message"]) for row in rows}


def all_artefacts(store: Store) -> dict[str, Artefact]:
    names = list(Artefact.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM artefacts ORDER BY created, name")
    return {row["name"]: Artefact(**{**dict(row), "recipe": json.loads(row["recipe"])}) for row in rows}


@dataclass(frozen=True)
class HeldoutAnswer:
    """The unquantized target's own answer to a held-out seed, as token ids."""

    seed_id: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    text: str


def add_heldout(store: Store, generation: str, answer: HeldoutAnswer) -> None:
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO heldout_answers (seed_id, generation, prompt_ids, answer_ids, text)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                *(answer.seed_id, generation, json.dumps(answer.prompt_ids)),
                *(json.dumps(answer.answer_ids), answer.text),
            ),
        )


def heldout(store: Store, generation: str) -> dict[str, HeldoutAnswer]:
    query = "SELECT * FROM heldout_answers WHERE generation = ? ORDER BY rowid"
    return {
        row["seed_id"]: HeldoutAnswer(
            row["seed_id"],
            tuple(json.loads(row["prompt_ids"])),
            tuple(json.loads(row["answer_ids"])),
            row["text"],
        )
        for row in store.db.execute(query, (generation,))
    }


@dataclass(frozen=True)
class Measurement:
    """Per item of one held-out text: predicted tokens, and sums over them."""

    subject: str
    text: str
    signature: str
    items: dict[str, list[float]]  # tokens, nll (nats), kl (nats, to unquantized), agree (top-1)
    token_kl: bytes | None = None  # of each token, as evaluation.token_kl writes it


def add_measurement(store: Store, m: Measurement) -> None:
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO measurements (subject, text, signature, items, token_kl, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (m.subject, m.text, m.signature, json.dumps(m.items), m.token_kl, time.time()),
        )


def token_kl_of(store: Store, subject: str, text: str) -> bytes | None:
    """What `all_measurements` leaves out, since it is as long as the text."""
    query = "SELECT token_kl FROM measurements WHERE subject = ? AND text = ?"
    row = store.db.execute(query, (subject, text)).fetchone()
    return None if row is None else row["token_kl"]


def all_measurements(store: Store) -> dict[tuple[str, str], Measurement]:
    query = "SELECT subject, text, signature, items FROM measurements"  # without token_kl
    return {
        (row["subject"], row["text"]): Measurement(
            row["subject"], row["text"], row["signature"], json.loads(row["items"])
        )
        for row in store.db.execute(query)
    }
