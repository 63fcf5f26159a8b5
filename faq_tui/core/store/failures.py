"""Candidates that could not be had: after a restart the queue still says so, until they are asked for again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from faq_tui.core.store.candidates import candidate_key
from faq_tui.core.store.database import Store
from faq_tui.core.store.text import storable


@dataclass(frozen=True)
class Failure:
    seed_id: str
    source: str
    number: int  # 1-based
    generation: str
    reason: str
    requests: int  # sent for it


def add(store: Store, failure: Failure) -> None:
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


def clear(store: Store, generation: str, wanted: Iterable[tuple[str, int]]) -> None:
    """Forget that these (seed id, number) failed: they are asked for again."""
    keys = ((candidate_key(seed_id, generation, number),) for seed_id, number in wanted)
    with store.writing() as db:
        db.executemany("DELETE FROM failed_candidates WHERE key = ?", keys)


def of_seed(store: Store, generation: str, seed_id: str) -> dict[int, str]:
    """Number to reason."""
    query = "SELECT number, reason FROM failed_candidates WHERE generation = ? AND seed_id = ?"
    return {row["number"]: row["reason"] for row in store.db.execute(query, (generation, seed_id))}


def count(store: Store, generation: str, candidates: int) -> int:
    """Of chosen seeds, numbers up to `candidates` only."""
    query = (
        "SELECT count(*) FROM failed_candidates f JOIN seeds s ON s.id = f.seed_id WHERE f.generation = ?"
        " AND f.number <= ? AND s.present AND NOT s.excluded AND s.role = 'chosen'"
    )
    return int(store.db.execute(query, (generation, candidates)).fetchone()[0])
