"""The seeds that are regenerated, a page at a time, with what each source has answered so far."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.store import candidates
from faq_tui.core.store.candidates import Candidate, candidate_of
from faq_tui.core.store.database import Store

WANTED = "present AND NOT excluded AND role = 'chosen'"


@dataclass(frozen=True)
class QueuedSeed:
    seed_id: str
    position: int
    question: str


@dataclass(frozen=True)
class Answered:
    """Of one seed and source: how many candidates are there, how many of them were cut off or are unfit,

    and how many could not be had.
    """

    done: int = 0
    truncated: int = 0
    unfit: int = 0
    failed: int = 0


def after(store: Store, position: int, limit: int) -> list[QueuedSeed]:
    """Up to `limit` seeds that follow `position`, in file order."""
    query = f"SELECT id, position, messages FROM seeds WHERE {WANTED} AND position > ? ORDER BY position LIMIT ?"
    return [_queued(row) for row in store.db.execute(query, (position, limit))]


def before(store: Store, position: int, limit: int) -> list[QueuedSeed]:
    """Up to `limit` seeds that precede `position`, in file order."""
    query = f"SELECT id, position, messages FROM seeds WHERE {WANTED} AND position < ? ORDER BY position DESC LIMIT ?"
    return [_queued(row) for row in store.db.execute(query, (position, limit))][::-1]


def position_of(store: Store, seed_id: str) -> int | None:
    """Where a seed stands in the file; None if it is not regenerated."""
    query = f"SELECT position FROM seeds WHERE id = ? AND {WANTED}"
    row = store.db.execute(query, (seed_id,)).fetchone()
    return None if row is None else int(row["position"])


def count(store: Store) -> int:
    return int(store.db.execute(f"SELECT count(*) FROM seeds WHERE {WANTED}").fetchone()[0])


def answered(store: Store, generation: str, seed_ids: Iterable[str]) -> dict[str, Answered]:
    """Of the seeds on the screen only."""
    query = "SELECT flags FROM candidates WHERE generation = ? AND seed_id = ?"
    found = {}
    for seed_id in seed_ids:
        flags = [row["flags"] for row in store.db.execute(query, (generation, seed_id))]
        failed = len(candidates.failures_of_seed(store, generation, seed_id))
        if flags or failed:
            cut = sum("truncated" in json.loads(text) for text in flags)
            found[seed_id] = Answered(len(flags), cut, sum(text != "[]" for text in flags), failed)
    return found


def candidates_of(store: Store, generation: str, seed_id: str) -> dict[int, Candidate]:
    """Number to candidate, for one seed."""
    query = "SELECT * FROM candidates WHERE generation = ? AND seed_id = ? ORDER BY number"
    return {row["number"]: candidate_of(row) for row in store.db.execute(query, (generation, seed_id))}


@dataclass(frozen=True)
class Totals:
    """Of one source under its present settings."""

    candidates: int
    truncated: int
    tokens: int


def totals(path: Path, generation: str) -> Totals:
    """Counted over a connection of its own, for a thread: it reads every candidate's row."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
    try:
        query = (
            "SELECT count(*), coalesce(sum(flags LIKE '%\"truncated\"%'), 0), coalesce(sum(completion_tokens), 0)"
            f" FROM candidates WHERE generation = ? AND seed_id IN (SELECT id FROM seeds WHERE {WANTED})"
        )
        return Totals(*map(int, db.execute(query, (generation,)).fetchone()))
    finally:
        db.close()


def _queued(row: sqlite3.Row) -> QueuedSeed:
    try:
        question = str(json.loads(row["messages"])[-1]["content"])
    except (ValueError, LookupError, TypeError):
        question = row["messages"]
    return QueuedSeed(row["id"], row["position"], question[:500])
