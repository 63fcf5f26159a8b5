"""Store scores, and the picked candidate of each seed. A new pick is a new row; existing rows are never changed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store

BLOCK, BLOCKS = 512, 8  # number of details that are read at once, and number of such blocks that are kept
_NOBODY = -1  # no id of a candidate
GROUPS = 256  # number of groups of candidates that are read at once
_REPLACING = (
    "UPDATE SET kind = excluded.kind, score = excluded.score, reason = excluded.reason, raw = excluded.raw,"
    " details = excluded.details, created = excluded.created"
)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One judge's score of one candidate. The row in the database also holds the judge's full reply."""

    candidate_id: int
    judge: str  # the judge's column id
    kind: str  # the judge's name
    score: float | None  # None if the judge could not score the candidate
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)  # values from which the score was computed


@dataclass(frozen=True, slots=True)
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
    return dict(store.db.execute(query, (judge,)))


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


class ScoreDetails(Mapping[int, Mapping[str, Any]]):
    """The same values as `details_of`, read in blocks of neighbouring ids. Only a few blocks are kept."""

    def __init__(self, store: Store, judge: str) -> None:
        self._store, self._judge = store, judge
        self._block = lru_cache(maxsize=BLOCKS)(self._read)

    def __getitem__(self, candidate_id: int) -> Mapping[str, Any]:
        return self._block(candidate_id // BLOCK)[candidate_id]

    def __iter__(self) -> Iterator[int]:
        return (candidate_id for candidate_id, _ in each_details(self._store, self._judge))

    def __len__(self) -> int:
        query = "SELECT count(*) FROM scores WHERE judge = ?"
        return int(self._store.db.execute(query, (self._judge,)).fetchone()[0])

    def _read(self, number: int) -> dict[int, dict[str, Any]]:
        query = "SELECT candidate_id, details FROM scores WHERE judge = ? AND candidate_id >= ? AND candidate_id < ?"
        rows = self._store.db.execute(query, (self._judge, number * BLOCK, (number + 1) * BLOCK))
        return {row["candidate_id"]: json.loads(row["details"]) for row in rows}


Orders = tuple[tuple[int, float], tuple[int, float]]  # (place, score) in the first order and in the second order


def orders_of(store: Store, judge: str, groups: Sequence[Sequence[int]]) -> Iterator[list[Orders]]:
    """The places and scores of each group's candidates in two orders, as this judge stored them.

    Groups in which a candidate was not scored in both orders are left out. Only a few groups are in memory at the
    same time.
    """
    paths = ", ".join(f"json_extract(m.details, '$.orders[{turn}][{part}]')" for turn in (0, 1) for part in (0, 1))
    query = (
        f"SELECT m.candidate_id, {paths} FROM json_each(?) j CROSS JOIN scores m"
        " ON m.judge = ? AND m.candidate_id = j.value WHERE json_array_length(m.details, '$.orders') = 2"
    )
    for start in range(0, len(groups), GROUPS):
        part = groups[start : start + GROUPS]
        rows = store.db.execute(query, (json.dumps([i for group in part for i in group]), judge))
        known = {i: ((p, a), (q, b)) for i, p, a, q, b in rows if a is not None and b is not None}
        for group in part:
            found = [known[i] for i in group if i in known]
            if len(found) == len(group):
                yield found


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
    return dict(store.db.execute(query, (source, judge, until)))


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


@dataclass(frozen=True)
class PickCounts:
    picked: int  # seeds with a picked candidate
    by_person: int  # seeds whose candidate a person picked
    rejected: int  # seeds without a candidate, because a person rejected the seed or no candidate was usable


def count_current(store: Store, source: str, judge: str, source_hash: str) -> PickCounts:
    """Counts of the picks that `current` returns for chosen seeds. Only the counts are in memory.

    The query reads an index in which the picks of each seed are neighbours. Of each kind of pick, the last counts.
    With `max`, SQLite takes the other columns from the row that has the maximum.
    """
    last = "SELECT seed_id, action, candidate_id, max(id) FROM picks WHERE source = :source AND {} GROUP BY 1"
    ours = (
        "({0}.candidate_id IS NULL OR EXISTS (SELECT 1 FROM candidates c INDEXED BY candidates_by_seed"
        " WHERE c.generation = :hash AND c.seed_id = {0}.seed_id AND c.id = {0}.candidate_id))"
    )
    person, judged = last.format("picked_by = 'person'"), last.format("picked_by = 'judge' AND who = :judge")
    query = (
        f"WITH person AS (SELECT * FROM ({person}) p WHERE action <> 'clear' AND {ours.format('p')}),"
        f" judged AS (SELECT * FROM ({judged}) j WHERE {ours.format('j')})"
        " SELECT by_person, candidate_id IS NOT NULL, count(*) FROM ("
        "SELECT seed_id, 1 AS by_person, candidate_id FROM person"
        " UNION ALL SELECT seed_id, 0, candidate_id FROM judged WHERE seed_id NOT IN (SELECT seed_id FROM person))"
        " WHERE seed_id IN (SELECT id FROM seeds INDEXED BY seeds_chosen"
        " WHERE present AND NOT excluded AND role = 'chosen') GROUP BY 1, 2"
    )
    rows = store.db.execute(query, {"source": source, "judge": judge, "hash": source_hash})
    counts = {(by_person, picked): count for by_person, picked, count in rows}
    by_person = counts.get((1, 1), 0)
    return PickCounts(by_person + counts.get((0, 1), 0), by_person, counts.get((1, 0), 0) + counts.get((0, 0), 0))


def current(store: Store, source: str, judge: str, source_hash: str, until: float = math.inf) -> dict[str, Pick]:
    """Maps seed ids to the valid pick: a person's pick if there is one, else the pick of `judge`.

    Picks of candidates that were made with earlier settings of the source are ignored. Picks that were stored after
    `until` (unix seconds) are ignored, too.
    """
    holds = _of_generation(store, source_hash)
    judged = judged_by(store, source, judge, until)
    picks = {
        seed_id: Pick(seed_id, source, chosen, "judge", "") for seed_id, chosen in judged.items() if holds(chosen)
    }
    people = overrides(store, source, until)
    return picks | {seed_id: pick for seed_id, pick in people.items() if holds(pick.candidate_id)}


DecidingPick = tuple[str, int | None, str]  # seed id, candidate id (None if the seed was rejected), picker


def deciding(store: Store, source: str, judge: str, source_hash: str) -> Iterator[DecidingPick]:
    """Yield the picks of `current` in the same order.

    If a person picked the same candidate as the judge, the judge is the picker.
    """
    holds = _of_generation(store, source_hash)
    judged = judged_by(store, source, judge)
    people = {
        seed_id: pick.candidate_id for seed_id, pick in overrides(store, source).items() if holds(pick.candidate_id)
    }
    for seed_id, chosen in judged.items():
        picked = people.pop(seed_id, _NOBODY)
        if picked in (_NOBODY, chosen):
            if holds(chosen):
                yield seed_id, chosen, "judge"
        else:
            yield seed_id, picked, "person"
    for seed_id, picked in people.items():
        yield seed_id, picked, "person"


def _of_generation(store: Store, source_hash: str) -> Callable[[int | None], bool]:
    """A function that tells whether a candidate was made with the source settings `source_hash`. True for None."""
    last = store.db.execute("SELECT max(id) FROM candidates").fetchone()[0] or 0
    ours = bytearray(last + 1)  # 1 at the id of each of these candidates
    for (candidate_id,) in store.db.execute("SELECT id FROM candidates WHERE generation = ?", (source_hash,)):
        ours[candidate_id] = 1
    return lambda candidate_id: candidate_id is None or (candidate_id <= last and bool(ours[candidate_id]))
