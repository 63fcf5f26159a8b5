"""Candidates in the database: each under a key that says everything that made it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from faq_tui.core.store.database import Store
from faq_tui.core.store.hashing import digest
from faq_tui.core.store.text import storable

_CURRENT = (
    "SELECT c.* FROM candidates c JOIN seeds s ON s.id = c.seed_id"
    " WHERE c.generation = ? AND s.present AND NOT s.excluded AND s.role = 'chosen'"
)


@dataclass(frozen=True)
class Candidate:
    """One finished answer of one source to one seed; `id` is 0 until it is stored."""

    seed_id: str
    source: str
    number: int  # 1-based
    generation: str
    model: str
    prompt_version: str
    reasoning: str
    answer: str
    finish_reason: str
    flags: tuple[str, ...]
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
    dialect: str
    id: int = 0


def candidate_key(seed_id: str, generation: str, number: int) -> str:
    """Seed id (so its text), model, prompt version, sampling and number: the same key is never asked for twice.

    The source's name is no part of it: a renamed source finds its candidates again.
    """
    return digest(seed_id, generation, number)


def add(store: Store, candidate: Candidate) -> int:
    """Store a finished candidate at once; returns its id. One already there under the key stays as it is."""
    c = candidate
    key = candidate_key(c.seed_id, c.generation, c.number)
    with store.writing() as db:
        db.execute(
            "INSERT INTO candidates (key, seed_id, source, number, generation, model, prompt_version, reasoning,"
            " answer, finish_reason, flags, prompt_tokens, completion_tokens, seconds, dialect, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (
                *(key, c.seed_id, c.source, c.number, c.generation, c.model, c.prompt_version),
                *(storable(c.reasoning), storable(c.answer), storable(c.finish_reason), json.dumps(c.flags)),
                *(c.prompt_tokens, c.completion_tokens, c.seconds, c.dialect, time.time()),
            ),
        )
        return int(db.execute("SELECT id FROM candidates WHERE key = ?", (key,)).fetchone()["id"])


def current(store: Store, source: str, generation: str) -> list[Candidate]:
    """All candidates of one source under its present settings, for chosen seeds, in seed order."""
    query = (
        "SELECT c.* FROM candidates c JOIN seeds s ON s.id = c.seed_id"
        " WHERE c.generation = ? AND s.present AND NOT s.excluded AND s.role = 'chosen'"
        " ORDER BY s.position, c.number"
    )
    return [replace(candidate_of(row), source=source) for row in store.db.execute(query, (generation,))]


def of_seed(store: Store, source: str, generation: str, seed_id: str) -> list[Candidate]:
    """One seed's candidates of one source under its present settings, by number."""
    query = "SELECT * FROM candidates WHERE generation = ? AND seed_id = ? ORDER BY number"
    return [replace(candidate_of(row), source=source) for row in store.db.execute(query, (generation, seed_id))]


def by_ids(store: Store, wanted: Iterable[int]) -> dict[int, Candidate]:
    """Candidates by id; unknown ids are left out."""
    query = "SELECT * FROM candidates WHERE id = ?"
    rows = (store.db.execute(query, (candidate_id,)).fetchone() for candidate_id in wanted)
    return {row["id"]: candidate_of(row) for row in rows if row is not None}


def candidate_of(row: sqlite3.Row) -> Candidate:
    names = set(Candidate.__dataclass_fields__)
    values = {name: row[name] for name in row.keys() if name in names}  # noqa: SIM118  a Row iterates its values
    return Candidate(**{**values, "flags": tuple(json.loads(row["flags"]))})
