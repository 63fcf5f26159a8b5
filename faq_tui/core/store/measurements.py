"""Tables of the evaluation: answers to held-out seeds, measurements, and the texts of measured items."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class HeldoutAnswer:
    """An answer of the unquantized target or of a source to a held-out seed, as token ids of the target."""

    seed_id: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    text: str


def add_heldout(store: Store, source_hash: str, *answers: HeldoutAnswer) -> None:
    """Store answers: all of them, or none if the process is killed.

    `source_hash` is a hash of the model that answered and of the model's settings. The hash is stored in the column
    `generation`.
    """
    with store.writing() as db:
        db.executemany(
            "INSERT OR REPLACE INTO heldout_answers (seed_id, generation, prompt_ids, answer_ids, text)"
            " VALUES (?, ?, ?, ?, ?)",
            [
                (one.seed_id, source_hash, json.dumps(one.prompt_ids), json.dumps(one.answer_ids), one.text)
                for one in answers
            ],
        )


def heldout(store: Store, source_hash: str) -> dict[str, HeldoutAnswer]:
    """Maps seed ids to answers, in the order in which the answers were stored."""
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
    """The measurement of one model on one held-out text.

    The measured values of each item are sums over the item's predicted tokens.
    """

    subject: str  # an artefact's folder, or "unquantized"
    text: str  # name of the held-out text
    signature: str  # hash of subject, text and settings
    items: dict[
        str, list[float]
    ]  # columns with one value per item: tokens, nll and kl (nats), agree (number of equal top-1 tokens)
    token_kl: bytes | None = None  # KL divergence of each token, encoded by evaluation.compare.encode_token_kl

    # Entropy of the unquantized model's prediction of each token, encoded by evaluation.token_columns.
    token_entropy: bytes | None = None


def add_measurement(store: Store, m: Measurement) -> None:
    """Store a measurement. An earlier measurement of the same subject and text is replaced."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO measurements (subject, text, signature, items, token_kl, token_entropy, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (m.subject, m.text, m.signature, json.dumps(m.items), m.token_kl, m.token_entropy, time.time()),
        )


def token_kl_of(store: Store, subject: str, text: str) -> bytes | None:
    """The stored `token_kl` of a measurement; None if it was not measured.

    `all_measurements` omits `token_kl`, because it is large.
    """
    query = "SELECT token_kl FROM measurements WHERE subject = ? AND text = ?"
    row = store.db.execute(query, (subject, text)).fetchone()
    return None if row is None else row["token_kl"]


def has_token_entropies(store: Store, subject: str) -> bool:
    """True if `token_entropy` is stored for the model on any text. Old versions of faq-tui did not store it."""
    query = "SELECT count(*) FROM measurements WHERE subject = ? AND token_entropy IS NOT NULL"
    return bool(store.db.execute(query, (subject,)).fetchone()[0])


def token_values_of(store: Store, subject: str, text: str) -> tuple[bytes | None, bytes | None]:
    """The stored `token_kl` and `token_entropy` of a measurement. A value that was not measured is None."""
    query = "SELECT token_kl, token_entropy FROM measurements WHERE subject = ? AND text = ?"
    row = store.db.execute(query, (subject, text)).fetchone()
    return (None, None) if row is None else (row["token_kl"], row["token_entropy"])


def all_measurements(store: Store) -> dict[tuple[str, str], Measurement]:
    """Maps (subject, text) to the measurement. The values of single tokens are left out."""
    query = "SELECT subject, text, signature, items FROM measurements"
    return {
        (row["subject"], row["text"]): Measurement(
            row["subject"], row["text"], row["signature"], json.loads(row["items"])
        )
        for row in store.db.execute(query)
    }


# Selects the items on which the unquantized target was measured. Artefacts are compared with the target on these
# items. A measurement's signature has the form "subject.items.dtype.device" (see core.evaluation.identity). In the
# signature, `subject` and `items` are hashes, so they contain no dot.
MEASURED = """text = :text AND EXISTS (
  SELECT 1 FROM measurements AS m
  WHERE m.subject = 'unquantized' AND m.text = :text AND instr(m.signature, '.' || heldout_items.items || '.')
)"""


def signatures_of(store: Store, subject: str) -> dict[str, str]:
    """Maps each text that was measured for `subject` to the measurement's signature."""
    query = "SELECT text, signature FROM measurements WHERE subject = ?"
    return dict(store.db.execute(query, (subject,)).fetchall())


def replace_items(store: Store, text: str, items: str, bodies: Sequence[dict[str, Any]]) -> None:
    """Store the contents of a text's items. `bodies` has one entry per item, in the order of a measurement's columns.

    `items` is the hash of the items. Other stored items of the same text are deleted, except the items on which the
    unquantized target was measured. If the database already holds the same contents, nothing is written.
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
    """The contents of a text's measured items; empty if they were not stored."""
    rows = store.db.execute(f"SELECT body FROM heldout_items WHERE {MEASURED} ORDER BY number", {"text": text})
    return [json.loads(row["body"]) for row in rows]


def one_item(store: Store, text: str, number: int) -> dict[str, Any]:
    """The content of the measured item `number` (from 0); empty if it was not stored."""
    query = f"SELECT body FROM heldout_items WHERE {MEASURED} AND number = :number"
    row = store.db.execute(query, {"text": text, "number": number}).fetchone()
    return {} if row is None else dict(json.loads(row["body"]))
