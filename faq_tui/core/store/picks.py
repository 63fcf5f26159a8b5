"""Store scores, and the picked candidate of each seed. A new pick is a new row; existing rows are never changed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store

_REPLACING = (
    "UPDATE SET kind = excluded.kind, score = excluded.score, reason = excluded.reason, raw = excluded.raw,"
    " details = excluded.details, created = excluded.created"
)


@dataclass(frozen=True)
class ScoreRow:
    """One judge's score of one candidate. The row in the database also holds the judge's full reply."""

    candidate_id: int
    judge: str  # the judge's column id
    kind: str  # the judge's name
    score: float | None  # None if the judge could not score the candidate
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)  # values from which the score was computed


@dataclass(frozen=True)
class Pick:
    seed_id: str
    source: str
    candidate_id: int | None  # None if the seed was rejected
    picked_by: str  # "judge" or "person"
    reason: str


def add_score(store: Store, row: ScoreRow, raw: str = "", replace: bool = False) -> None:
    """Store one score; `raw` is the judge's full reply.

    If the judge has already scored this candidate, the earlier score is kept, unless `replace` is true.
    """
    _put(store, [(row, raw)], _REPLACING if replace else "NOTHING")


def put_derived(store: Store, judge: str, rows: Iterable[ScoreRow]) -> None:
    """Store scores of `judge` that were computed from other scores. Changed scores are replaced."""
    query = "SELECT candidate_id, score, reason, details FROM scores WHERE judge = ?"
    before = {stored[0]: tuple(stored[1:]) for stored in store.db.execute(query, (judge,))}
    changed = [
        (row, "")
        for row in rows
        if before.get(row.candidate_id) != (row.score, storable(row.reason), _json(row.details))
    ]
    if changed:
        _put(store, changed, _REPLACING)


def _put(store: Store, rows: Iterable[tuple[ScoreRow, str]], conflict: str) -> None:
    now = time.time()
    with store.writing() as db:
        db.executemany(
            "INSERT INTO scores (candidate_id, judge, kind, score, reason, raw, details, created)"
            f" VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (candidate_id, judge) DO {conflict}",
            [
                (
                    *(row.candidate_id, row.judge, row.kind, row.score),
                    *(storable(row.reason), storable(raw), _json(row.details), now),
                )
                for row, raw in rows
            ],
        )


def _json(details: Mapping[str, Any]) -> str:
    return json.dumps(dict(details), sort_keys=True)


def scores_of(store: Store, judge: str) -> dict[int, float | None]:
    """All scores of one judge, by candidate id. A score is None if the judge could not score the candidate."""
    query = "SELECT candidate_id, score FROM scores WHERE judge = ?"
    return dict(store.db.execute(query, (judge,)).fetchall())


def details_of(store: Store, judge: str) -> dict[int, dict[str, Any]]:
    """Maps each candidate id to the values from which one judge's score was computed."""
    return dict(each_details(store, judge))


def each_details(store: Store, judge: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (candidate id, values) for each entry of the dict that `details_of` returns.

    Use this function if the whole dict would be too large.
    """
    query = "SELECT candidate_id, details FROM scores WHERE judge = ?"
    for row in store.db.execute(query, (judge,)):
        yield row["candidate_id"], json.loads(row["details"])


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


def judged_by(store: Store, source: str, judge: str, until: float = math.inf) -> dict[str, int | None]:
    """Maps each seed id to this judge's last pick. The pick is None if no candidate was usable.

    Picks that were stored after `until` (unix seconds) are ignored.
    """
    query = (
        "SELECT seed_id, candidate_id FROM picks WHERE source = ? AND picked_by = 'judge' AND who = ?"
        " AND created <= ? ORDER BY id"
    )
    return dict(store.db.execute(query, (source, judge, until)).fetchall())


def overrides(store: Store, source: str, until: float = math.inf) -> dict[str, Pick]:
    """Maps seed ids to the last override by a person. Cleared overrides are omitted.

    Overrides that were stored after `until` (unix seconds) are ignored.
    """
    query = "SELECT * FROM picks WHERE source = ? AND picked_by = 'person' AND created <= ? ORDER BY id"
    last: dict[str, Pick] = {}
    for row in store.db.execute(query, (source, until)):
        if row["action"] == "clear":
            last.pop(row["seed_id"], None)
        else:
            candidate = row["candidate_id"] if row["action"] == "pick" else None
            last[row["seed_id"]] = Pick(row["seed_id"], source, candidate, "person", row["reason"])
    return last


def current(store: Store, source: str, judge: str, source_hash: str, until: float = math.inf) -> dict[str, Pick]:
    """Maps seed ids to the valid pick: a person's pick if there is one, else the pick of `judge`.

    Picks of candidates that were made with earlier settings of the source are ignored. Picks that were stored after
    `until` (unix seconds) are ignored, too.
    """
    judged = judged_by(store, source, judge, until)
    picks = {seed_id: Pick(seed_id, source, chosen, "judge", "") for seed_id, chosen in judged.items()}
    query = "SELECT id FROM candidates WHERE generation = ?"
    ours: set[int | None] = {None, *(row["id"] for row in store.db.execute(query, (source_hash,)))}
    all_picks = [*picks.items(), *overrides(store, source, until).items()]
    return {seed_id: pick for seed_id, pick in all_picks if pick.candidate_id in ours}
