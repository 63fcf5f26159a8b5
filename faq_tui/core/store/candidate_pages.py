"""Read the chosen seeds page by page, with counts of a source's candidates.

Chosen seeds are the seeds that are regenerated.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.store import candidates
from faq_tui.core.store.candidates import Candidate, candidate_of
from faq_tui.core.store.database import Store, connect_to_read

CHOSEN = "present AND NOT excluded AND role = 'chosen'"


QUESTION_CHARACTERS = 500


@dataclass(frozen=True)
class QueuedSeed:
    """A chosen seed in the list of pane 2."""

    seed_id: str
    position: int  # position in the seed file, counted from 0
    question: str  # the first QUESTION_CHARACTERS characters of the question


@dataclass(frozen=True)
class CandidateCounts:
    """Counts of the candidates that one source has generated for one seed."""

    done: int = 0
    unusable: int = 0  # number of candidates with at least one flag
    failed: int = 0  # number of candidates that could not be generated


def after(store: Store, position: int, limit: int) -> list[QueuedSeed]:
    """Up to `limit` seeds that follow `position`, in file order."""
    query = f"SELECT id, position, messages FROM seeds WHERE {CHOSEN} AND position > ? ORDER BY position LIMIT ?"
    return [_queued(row) for row in store.db.execute(query, (position, limit))]


def before(store: Store, position: int, limit: int) -> list[QueuedSeed]:
    """Up to `limit` seeds that precede `position`, in file order."""
    query = f"SELECT id, position, messages FROM seeds WHERE {CHOSEN} AND position < ? ORDER BY position DESC LIMIT ?"
    return [_queued(row) for row in store.db.execute(query, (position, limit))][::-1]


def position_of(store: Store, seed_id: str) -> int | None:
    """The seed's position in the file; None if the seed is not chosen."""
    query = f"SELECT position FROM seeds WHERE id = ? AND {CHOSEN}"
    row = store.db.execute(query, (seed_id,)).fetchone()
    return None if row is None else int(row["position"])


def count(store: Store) -> int:
    """How many seeds are chosen."""
    return int(store.db.execute(f"SELECT count(*) FROM seeds WHERE {CHOSEN}").fetchone()[0])


def answered(store: Store, source_hash: str, wanted: int, seed_ids: Iterable[str]) -> dict[str, CandidateCounts]:
    """Maps each seed id to counts of the source's candidates. Omits seeds that have neither candidates nor failures.

    Only candidates with the numbers 1 to `wanted` are counted.

    This function runs two queries for each seed, so call it only for the seeds on the screen.
    """
    query = "SELECT flags FROM candidates WHERE generation = ? AND seed_id = ? AND number <= ?"
    counts = {}
    for seed_id in seed_ids:
        flags = [row["flags"] for row in store.db.execute(query, (source_hash, seed_id, wanted))]
        failed = sum(number <= wanted for number in candidates.failures_of_seed(store, source_hash, seed_id))
        if flags or failed:
            counts[seed_id] = CandidateCounts(len(flags), sum(text != "[]" for text in flags), failed)
    return counts


def candidates_of(store: Store, source_hash: str, seed_id: str) -> dict[int, Candidate]:
    """Maps the numbers of one seed's candidates to the candidates. Numbers begin at 1."""
    query = "SELECT * FROM candidates WHERE generation = ? AND seed_id = ? ORDER BY number"
    return {row["number"]: candidate_of(row) for row in store.db.execute(query, (source_hash, seed_id))}


@dataclass(frozen=True)
class Totals:
    """Counts of one source's wanted candidates."""

    candidates: int
    unusable: int  # number of candidates with at least one flag
    tokens: int  # total number of generated tokens


def totals(path: Path, source_hash: str, wanted: int) -> Totals:
    """Count a source's candidates for chosen seeds. The function reads every row.

    Only candidates with the numbers 1 to `wanted` of each seed are counted.

    The function opens a separate database connection, so it can run in a thread.
    """
    db = connect_to_read(path, timeout_s=5.0)
    try:
        query = (
            "SELECT count(*), coalesce(sum(flags <> '[]'), 0), coalesce(sum(completion_tokens), 0)"
            " FROM candidates WHERE generation = ? AND number <= ?"
            f" AND seed_id IN (SELECT id FROM seeds WHERE {CHOSEN})"
        )
        return Totals(*map(int, db.execute(query, (source_hash, wanted)).fetchone()))
    finally:
        db.close()


def _queued(row: sqlite3.Row) -> QueuedSeed:
    try:
        question = str(json.loads(row["messages"])[-1]["content"])
    except (ValueError, LookupError, TypeError):
        question = row["messages"]
    return QueuedSeed(row["id"], row["position"], question[:QUESTION_CHARACTERS])
