"""Candidates in the database: each under a key that says everything that made it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from faq_tui.core.base.hashing import digest
from faq_tui.core.base.sanitize import storable
from faq_tui.core.store.database import Store

_CURRENT = (
    " FROM candidates c JOIN seeds s ON s.id = c.seed_id"
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
    max_tokens: int | None = None  # that was asked for
    sampling_seed: int | None = None  # that was sent
    requests: int = 1  # sent until this answer was there
    why: dict[str, str] = field(default_factory=dict, hash=False)  # flag to what was found


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
            " answer, finish_reason, flags, prompt_tokens, completion_tokens, seconds, dialect, created,"
            " max_tokens, sampling_seed, requests, why)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (
                *(key, c.seed_id, c.source, c.number, c.generation, c.model, c.prompt_version),
                *(storable(c.reasoning), storable(c.answer), storable(c.finish_reason), json.dumps(c.flags)),
                *(c.prompt_tokens, c.completion_tokens, c.seconds, c.dialect, time.time()),
                *(c.max_tokens, c.sampling_seed, c.requests, json.dumps(c.why)),
            ),
        )
        db.execute("DELETE FROM failed_candidates WHERE key = ?", (key,))
        return int(db.execute("SELECT id FROM candidates WHERE key = ?", (key,)).fetchone()["id"])


def current(store: Store, source: str, generation: str) -> list[Candidate]:
    """All candidates of one source under its present settings, for chosen seeds, in seed order."""
    query = f"SELECT c.*{_CURRENT} ORDER BY s.position, c.number"
    return [replace(candidate_of(row), source=source) for row in store.db.execute(query, (generation,))]


def numbers(store: Store, generation: str) -> set[tuple[str, int]]:
    """(seed id, number) of all that `current` would give: no text is read."""
    query = f"SELECT c.seed_id, c.number{_CURRENT}"
    return {(row["seed_id"], row["number"]) for row in store.db.execute(query, (generation,))}


@dataclass(frozen=True)
class Tally:
    """Of one source's candidates."""

    candidates: int = 0
    unfit: int = 0
    unreasoned: int = 0  # without reasoning
    prompt_tokens: int = 0
    completion_tokens: int = 0
    counted: int = 0  # candidates whose completion tokens are known
    seconds: float = 0.0  # of those


def tally(store: Store, generation: str) -> Tally:
    """Of all that `current` would give."""
    return _tally(store, _CURRENT, generation)


def flag_counts(store: Store, generation: str) -> Counter[str]:
    """How many of all that `current` would give have each flag; one may have several."""
    query = f"SELECT c.flags{_CURRENT} AND c.flags <> '[]'"
    return Counter(flag for row in store.db.execute(query, (generation,)) for flag in json.loads(row["flags"]))


def tally_before(store: Store, source: str, generation: str) -> Tally:
    """Of what this source gave under other settings than the present ones."""
    return _tally(store, " FROM candidates c WHERE c.source = ? AND c.generation <> ?", source, generation)


def _tally(store: Store, rows: str, *values: str) -> Tally:
    query = (
        "SELECT count(*), coalesce(sum(c.flags <> '[]'), 0), coalesce(sum(c.reasoning = ''), 0),"
        " coalesce(sum(c.prompt_tokens), 0), coalesce(sum(c.completion_tokens), 0), count(c.completion_tokens),"
        f" coalesce(sum(CASE WHEN c.completion_tokens IS NULL THEN 0 ELSE c.seconds END), 0.0){rows}"
    )
    return Tally(*store.db.execute(query, values).fetchone())


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
    return Candidate(**{**values, "flags": tuple(json.loads(row["flags"])), "why": json.loads(row["why"])})


@dataclass(frozen=True)
class Failure:
    seed_id: str
    source: str
    number: int  # 1-based
    generation: str
    reason: str
    requests: int  # sent for it


def add_failure(store: Store, failure: Failure) -> None:
    f = failure
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO failed_candidates (key, seed_id, source, number, generation, reason, requests,"
            " created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(candidate_key(f.seed_id, f.generation, f.number), f.seed_id, f.source, f.number, f.generation),
                *(storable(f.reason), f.requests, time.time()),
            ),
        )


def clear_failures(store: Store, generation: str, wanted: Iterable[tuple[str, int]]) -> None:
    """Forget that these (seed id, number) failed: they are asked for again."""
    keys = ((candidate_key(seed_id, generation, number),) for seed_id, number in wanted)
    with store.writing() as db:
        db.executemany("DELETE FROM failed_candidates WHERE key = ?", keys)


def failures_of_seed(store: Store, generation: str, seed_id: str) -> dict[int, str]:
    """Number to reason."""
    query = "SELECT number, reason FROM failed_candidates WHERE generation = ? AND seed_id = ?"
    return {row["number"]: row["reason"] for row in store.db.execute(query, (generation, seed_id))}


def count_failures(store: Store, generation: str, candidates: int) -> int:
    """Of chosen seeds, numbers up to `candidates` only."""
    query = (
        "SELECT count(*) FROM failed_candidates f JOIN seeds s ON s.id = f.seed_id WHERE f.generation = ?"
        " AND f.number <= ? AND s.present AND NOT s.excluded AND s.role = 'chosen'"
    )
    return int(store.db.execute(query, (generation, candidates)).fetchone()[0])
