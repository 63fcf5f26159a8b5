"""Scores, and which candidate each seed uses. Rows are only added: an override never edits the judge's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.sanitize import storable
from faq_tui.core.store.database import Store

REPLACING = (
    "UPDATE SET kind = excluded.kind, score = excluded.score, reason = excluded.reason, raw = excluded.raw,"
    " details = excluded.details, created = excluded.created"
)


@dataclass(frozen=True)
class Pick:
    seed_id: str
    source: str
    candidate_id: int | None  # None: rejected
    picked_by: str  # judge | person
    reason: str


def add_score(
    store: Store,
    candidate_id: int,
    judge: str,
    kind: str,
    score: float | None,
    reason: str,
    raw: str,
    details: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> None:
    """Store one mark at once. A second one of the same judge replaces nothing, unless it says `replace`."""
    row = (candidate_id, judge, kind, score, reason, raw, details or {})
    _put(store, [row], REPLACING if replace else "NOTHING")


def put_derived(store: Store, kind: str, judge: str, marks: Mapping[int, tuple[float | None, str, Any]]) -> None:
    """Marks computed from other marks, by candidate id: (score, reason, details). Those that changed are replaced."""
    query = "SELECT candidate_id, score, reason, details FROM scores WHERE judge = ?"
    before = {row[0]: tuple(row[1:]) for row in store.db.execute(query, (judge,))}
    rows = [
        (candidate_id, judge, kind, score, reason, "", details)
        for candidate_id, (score, reason, details) in marks.items()
        if before.get(candidate_id) != (score, storable(reason), _json(details))
    ]
    if rows:
        _put(store, rows, REPLACING)


def _put(store: Store, rows: Iterable[tuple[int, str, str, float | None, str, str, Any]], conflict: str) -> None:
    now = time.time()
    with store.writing() as db:
        db.executemany(
            "INSERT INTO scores (candidate_id, judge, kind, score, reason, raw, details, created)"
            f" VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (candidate_id, judge) DO {conflict}",
            [
                (candidate_id, judge, kind, score, storable(reason), storable(raw), _json(details), now)
                for candidate_id, judge, kind, score, reason, raw, details in rows
            ],
        )


def _json(details: Any) -> str:
    return json.dumps(details, sort_keys=True)


def scores_of(store: Store, judge: str) -> dict[int, float | None]:
    """Candidate id to score (None: unscored), for one judge."""
    query = "SELECT candidate_id, score FROM scores WHERE judge = ?"
    return dict(store.db.execute(query, (judge,)).fetchall())


def details_of(store: Store, judge: str) -> dict[int, dict[str, Any]]:
    """Candidate id to what a judge's mark is made of."""
    query = "SELECT candidate_id, details FROM scores WHERE judge = ?"
    return {row["candidate_id"]: json.loads(row["details"]) for row in store.db.execute(query, (judge,))}


def add_picks(
    store: Store, rows: Iterable[tuple[str, str, str, int | None]], picked_by: str, who: str, reason: str
) -> None:
    """Add (seed_id, source, action, candidate_id) rows in one transaction."""
    now = time.time()
    with store.writing() as db:
        db.executemany(
            "INSERT INTO picks (seed_id, source, action, candidate_id, picked_by, who, reason, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(*row, picked_by, storable(who), storable(reason), now) for row in rows],
        )


def judged_by(store: Store, source: str, judge: str) -> dict[str, int | None]:
    """Seed id to the candidate this judge picked last (None: it found none fit)."""
    query = "SELECT seed_id, candidate_id FROM picks WHERE source = ? AND picked_by = 'judge' AND who = ? ORDER BY id"
    return dict(store.db.execute(query, (source, judge)).fetchall())


def overrides(store: Store, source: str) -> dict[str, Pick]:
    """Seed id to the person's last word on it; a cleared override is none."""
    query = "SELECT * FROM picks WHERE source = ? AND picked_by = 'person' ORDER BY id"
    last: dict[str, Pick] = {}
    for row in store.db.execute(query, (source,)):
        if row["action"] == "clear":
            last.pop(row["seed_id"], None)
        else:
            candidate = row["candidate_id"] if row["action"] == "pick" else None
            last[row["seed_id"]] = Pick(row["seed_id"], source, candidate, "person", row["reason"])
    return last


def current(store: Store, source: str, judge: str, generation: str) -> dict[str, Pick]:
    """Seed id to the pick that counts: the person's if there is one, else this judge's.

    A pick of an answer from before the source's settings changed counts no more.
    """
    judged = judged_by(store, source, judge)
    picks = {seed_id: Pick(seed_id, source, chosen, "judge", "") for seed_id, chosen in judged.items()}
    query = "SELECT id FROM candidates WHERE generation = ?"
    ours: set[int | None] = {None, *(row["id"] for row in store.db.execute(query, (generation,)))}
    found = [*picks.items(), *overrides(store, source).items()]
    return {seed_id: pick for seed_id, pick in found if pick.candidate_id in ours}
