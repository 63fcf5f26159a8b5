"""Store candidates.

The key of each candidate is a hash of the seed, the source's settings and the candidate's number.

A candidate is *wanted* if its seed is chosen, if the source made it with its present settings, and if its number is
not above the setting `candidates` of the source. If a person lowers this setting, the other candidates stay stored.

Candidates contain long texts. The code for signatures, status and picks needs no texts, so it reads only outlines
(candidates without texts) and counts. Failed candidates are in a table of failures until they are requested again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from faq_tui.core.base.hashing import digest
from faq_tui.core.base.text import counted, storable
from faq_tui.core.store.database import Store

REPLACED = "-replaced"  # the end of the generation of a candidate that another one has replaced

# CROSS JOIN: SQLite reads the chosen seeds in order, and then the candidates of each seed. Both are in indexes.
_CURRENT = (
    " FROM seeds s INDEXED BY seeds_chosen CROSS JOIN candidates c ON c.generation = ? AND c.seed_id = s.id"
    " WHERE s.present AND NOT s.excluded AND s.role = 'chosen'"
)


# The two ranges of the index are empty if the source's settings never changed; `<>` would read every candidate.
_COUNTED = "source, flags, finish_reason, prompt_tokens, completion_tokens, seconds, max_tokens"
_EARLIER = (
    f" FROM (SELECT {_COUNTED} FROM candidates WHERE generation < ?"
    f" UNION ALL SELECT {_COUNTED} FROM candidates WHERE generation > ?) c"
    " WHERE c.source = ?"
)
_WANTED = f"{_CURRENT} AND c.number <= ?"


@dataclass(frozen=True)
class Candidate:
    """One finished answer of one source to one seed. `id` is 0 until the candidate is stored."""

    seed_id: str
    source: str
    number: int  # 1-based
    source_hash: str  # hash of the source's settings; stored in the column `generation`
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
    max_tokens: int | None = None  # the request's limit for the reply, in tokens
    sampling_seed: int | None = None  # the sampling seed of the request
    requests: int = 1  # number of requests that were sent for this candidate
    left_out: tuple[str, ...] = ()  # parameters that were left out of the request because the server refuses them
    why: dict[str, str] = field(default_factory=dict, hash=False)  # maps each flag to the reason for it


@dataclass(frozen=True, slots=True)
class CandidateOutline:
    """A candidate without its texts. Hashing, counting and picking use this class."""

    id: int
    seed_id: str
    source: str
    number: int  # 1-based
    flags: tuple[str, ...]  # reasons why the candidate is unusable; empty if it is usable
    finish_reason: str


@dataclass(frozen=True)
class Failure:
    """A candidate that could not be generated."""

    seed_id: str
    source: str
    number: int  # 1-based
    source_hash: str  # hash of the source's settings; stored in the column `generation`
    reason: str
    requests: int  # number of requests that were sent for this candidate


def candidate_key(seed_id: str, source_hash: str, number: int) -> str:
    """The key of a candidate. If this key is already stored, the candidate is not generated again.

    The key is a hash of the seed id (itself a hash of the question), the source's settings (`source_hash`) and the
    number. The source's name is not part of the key, so a renamed source keeps its candidates.
    """
    return digest(seed_id, source_hash, number)


def add(store: Store, candidate: Candidate) -> int:
    """Store a finished candidate at once and return its id.

    If a candidate with the same key is already stored, `candidate` is ignored, and the stored candidate is kept.
    """
    with store.writing() as db:
        return _insert(db, candidate)


def replace_worse(store: Store, candidate: Candidate) -> int:
    """Replace the stored candidate with the same key by `candidate`, unless `candidate` is worse.

    Returns the id of the candidate that is valid afterwards.

    If the stored candidate has fewer flags, the stored candidate stays valid, and `candidate` is not stored. A
    replaced candidate is no longer counted. The row of the replaced candidate stays in the database, because scores
    may refer to the row.
    """
    key = candidate_key(candidate.seed_id, candidate.source_hash, candidate.number)
    with store.writing() as db:
        stored = db.execute("SELECT id, flags FROM candidates WHERE key = ?", (key,)).fetchone()
        if stored is not None:
            if len(_flags(stored["flags"])) < len(candidate.flags):
                return int(stored["id"])
            db.execute(
                "UPDATE candidates SET key = key || '-' || id, generation = generation || ? WHERE id = ?",
                (REPLACED, stored["id"]),
            )
        return _insert(db, candidate)


def count_of_seeds(store: Store, seed_ids: Iterable[str]) -> int:
    """The number of stored candidates of these seeds, from all sources and settings."""
    query = (
        "SELECT count(*) FROM candidates WHERE seed_id IN (SELECT value FROM json_each(?)) AND generation NOT LIKE ?"
    )
    return int(store.db.execute(query, (json.dumps(list(seed_ids)), f"%{REPLACED}")).fetchone()[0])


def discard(store: Store, ids: Sequence[int]) -> None:
    """Delete the candidates with these ids. No score or pick may refer to them."""
    with store.writing() as db:
        db.executemany("DELETE FROM candidates WHERE id = ?", ((candidate_id,) for candidate_id in ids))


def _insert(db: sqlite3.Connection, candidate: Candidate) -> int:
    c = candidate
    key = candidate_key(c.seed_id, c.source_hash, c.number)
    db.execute(
        "INSERT INTO candidates (key, seed_id, source, number, generation, model, prompt_version, reasoning,"
        " answer, finish_reason, flags, prompt_tokens, completion_tokens, seconds, dialect, created,"
        " max_tokens, sampling_seed, requests, why, left_out)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        (
            *(key, c.seed_id, c.source, c.number, c.source_hash, c.model, c.prompt_version),
            *(storable(c.reasoning), storable(c.answer), storable(c.finish_reason), json.dumps(c.flags)),
            *(c.prompt_tokens, c.completion_tokens, c.seconds, c.dialect, time.time()),
            *(c.max_tokens, c.sampling_seed, c.requests, json.dumps(c.why), json.dumps(c.left_out)),
        ),
    )
    db.execute("DELETE FROM failed_candidates WHERE key = ?", (key,))
    return int(db.execute("SELECT id FROM candidates WHERE key = ?", (key,)).fetchone()["id"])


def current(store: Store, source: str, source_hash: str) -> list[Candidate]:
    """All candidates for chosen seeds that one source made with its present settings, in seed order."""
    query = f"SELECT c.*{_CURRENT} ORDER BY s.position, s.id, c.number"
    return [replace(candidate_of(row), source=source) for row in store.db.execute(query, (source_hash,))]


def of_seed(store: Store, source: str, source_hash: str, seed_id: str) -> list[Candidate]:
    """One seed's candidates that one source made with its present settings, ordered by number."""
    query = "SELECT * FROM candidates WHERE generation = ? AND seed_id = ? ORDER BY number"
    return [replace(candidate_of(row), source=source) for row in store.db.execute(query, (source_hash, seed_id))]


def get(store: Store, candidate_id: int) -> Candidate | None:
    row = store.db.execute("SELECT * FROM candidates WHERE id = ?", (candidate_id,)).fetchone()
    return None if row is None else candidate_of(row)


def by_ids(store: Store, ids: Iterable[int]) -> dict[int, Candidate]:
    """Candidates by id; unknown ids are omitted."""
    query = "SELECT * FROM candidates WHERE id = ?"
    rows = (store.db.execute(query, (candidate_id,)).fetchone() for candidate_id in ids)
    return {row["id"]: candidate_of(row) for row in rows if row is not None}


def outlines(store: Store, source: str, source_hash: str, candidates: int) -> list[CandidateOutline]:
    """The wanted candidates without texts. `candidates` is the number of candidates that a seed should have."""
    query = f"SELECT c.id, c.seed_id, c.number, c.flags, c.finish_reason{_WANTED} ORDER BY s.position, s.id, c.number"
    return [
        CandidateOutline(row["id"], row["seed_id"], source, row["number"], _flags(row["flags"]), row["finish_reason"])
        for row in store.db.execute(query, (source_hash, candidates))
    ]


def unusable(store: Store, source_hash: str, candidates: int) -> list[Candidate]:
    """The wanted candidates that have at least one flag."""
    query = f"SELECT c.*{_WANTED} AND c.flags <> '[]' ORDER BY s.position, s.id, c.number"
    return [candidate_of(row) for row in store.db.execute(query, (source_hash, candidates))]


def is_stored(store: Store, seed_id: str, source_hash: str, number: int) -> bool:
    """True if this candidate is stored, even if its seed is not chosen any more."""
    key = candidate_key(seed_id, source_hash, number)
    return store.db.execute("SELECT 1 FROM candidates WHERE key = ?", (key,)).fetchone() is not None


def seeds_to_complete(store: Store, source_hash: str, candidates: int) -> list[tuple[str, tuple[int, ...]]]:
    """The chosen seeds that lack candidates with the numbers 1 to `candidates`, as (seed id, missing numbers).

    Seeds that already have a candidate come first. Otherwise the seeds are in file order.
    """
    made = (
        "SELECT number FROM candidates c WHERE c.generation = :source_hash AND c.seed_id = s.id"
        " AND c.number <= :candidates"
    )
    query = (
        f"SELECT s.id, (SELECT json_group_array(number) FROM ({made})) AS made FROM seeds s INDEXED BY seeds_chosen"
        " WHERE s.present AND NOT s.excluded AND s.role = 'chosen'"
        f" AND (SELECT count(*) FROM ({made})) < :candidates"
        " ORDER BY made = '[]', s.position"
    )
    wanted = tuple(range(1, candidates + 1))
    rows = store.db.execute(query, {"source_hash": source_hash, "candidates": candidates})
    return [
        (seed_id, wanted if numbers == "[]" else tuple(n for n in wanted if n not in json.loads(numbers)))
        for seed_id, numbers in rows
    ]


@dataclass(frozen=True)
class Tally:
    """Counts of one source's candidates."""

    candidates: int = 0
    unusable: int = 0  # number of candidates with a flag
    prompt_tokens: int = 0
    completion_tokens: int = 0
    counted: int = 0  # number of candidates whose completion tokens are known
    seconds: float = 0.0  # sum of the counted candidates' generation times, in seconds

    # number of counted candidates with a known generation time; the time of a batch file's answers is not known
    timed: int = 0
    saved_tokens: int = 0  # number of tokens that were saved because looping candidates were ended early

    def tokens_in_words(self) -> str:
        """The generated tokens. Some servers do not report the tokens of their answers."""
        if self.counted == self.candidates:
            return counted(self.completion_tokens, "token")
        if self.counted == 0:
            return "number of tokens unknown"
        return (
            f"{counted(self.completion_tokens, 'token')} (known for {self.counted} of {self.candidates} candidates)"
        )


def tally(store: Store, source_hash: str, candidates: int) -> Tally:
    """Counts of the wanted candidates. This function reads no text."""
    return _tally(store, _WANTED, source_hash, candidates)


def tally_before(store: Store, source: str, source_hash: str) -> Tally:
    """Counts of the candidates that this source made with earlier settings."""
    return _tally(store, _EARLIER, source_hash, source_hash, source)


def _tally(store: Store, rows: str, *values: str | int) -> Tally:
    query = (
        "SELECT count(*), coalesce(sum(c.flags <> '[]'), 0),"
        " coalesce(sum(c.prompt_tokens), 0), coalesce(sum(c.completion_tokens), 0), count(c.completion_tokens),"
        " coalesce(sum(CASE WHEN c.completion_tokens IS NULL THEN 0 ELSE c.seconds END), 0.0),"
        " coalesce(sum(c.completion_tokens IS NOT NULL AND c.seconds > 0), 0),"
        " coalesce(sum(CASE WHEN c.finish_reason = 'loop' THEN max(0, c.max_tokens - c.completion_tokens) END), 0)"
        f"{rows}"
    )
    return Tally(*store.db.execute(query, values).fetchone())


@dataclass(frozen=True)
class MeasuredLengths:
    """The lengths of prompt, reasoning and answer together, in tokens, of candidates without a flag."""

    candidates: int
    mean: float
    longest: int


def lengths(store: Store, source_hash: str, candidates: int, most: int) -> MeasuredLengths:
    """The lengths of the wanted candidates. A length above `most` counts as `most`."""
    return _lengths(store, _WANTED, most, source_hash, candidates)


def lengths_before(store: Store, source: str, source_hash: str, most: int) -> MeasuredLengths:
    """The lengths of the candidates that this source made with earlier settings."""
    earlier = " FROM candidates c WHERE c.source = ? AND c.generation <> ?"
    return _lengths(store, earlier, most, source, source_hash)


def _lengths(store: Store, rows: str, most: int, *values: str | int) -> MeasuredLengths:
    each = "min(?, coalesce(c.prompt_tokens, 0) + c.completion_tokens)"
    query = f"SELECT count(*), coalesce(avg({each}), 0), coalesce(max({each}), 0){rows}"
    query += " AND c.completion_tokens IS NOT NULL AND c.flags = '[]'"
    return MeasuredLengths(*store.db.execute(query, (most, most, *values)).fetchone())


def count_unreasoned(store: Store, source_hash: str, candidates: int) -> int:
    """The number of wanted candidates that have no reasoning. This function reads the reasoning texts."""
    query = f"SELECT count(*){_WANTED} AND c.reasoning = ''"
    return int(store.db.execute(query, (source_hash, candidates)).fetchone()[0])


def flag_counts(store: Store, source_hash: str, candidates: int) -> Counter[str]:
    """For each flag, the number of wanted candidates that have this flag.

    A candidate may have several flags.
    """
    query = f"SELECT c.flags{_WANTED} AND c.flags <> '[]' ORDER BY s.position, s.id, c.number"
    rows = store.db.execute(query, (source_hash, candidates))
    return Counter(flag for row in rows for flag in _flags(row["flags"]))


def candidate_of(row: sqlite3.Row) -> Candidate:
    names = set(Candidate.__dataclass_fields__)
    values = {name: row[name] for name in row.keys() if name in names}  # noqa: SIM118  a Row iterates its values
    values["source_hash"] = row["generation"]
    lists = {name: tuple(json.loads(row[name])) for name in ("flags", "left_out")}
    return Candidate(**{**values, **lists, "why": json.loads(row["why"])})


def _flags(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text != "[]" else ()


def add_failure(store: Store, failure: Failure) -> None:
    """Store a failure. An earlier failure of the same candidate is replaced."""
    f = failure
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO failed_candidates (key, seed_id, source, number, generation, reason, requests,"
            " created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(candidate_key(f.seed_id, f.source_hash, f.number), f.seed_id, f.source, f.number, f.source_hash),
                *(storable(f.reason), f.requests, time.time()),
            ),
        )


def clear_failures(store: Store, source_hash: str, failed: Iterable[tuple[str, int]]) -> None:
    """Delete the failures of candidates that will be requested again.

    `failed` holds pairs of seed id and candidate number.
    """
    keys = ((candidate_key(seed_id, source_hash, number),) for seed_id, number in failed)
    with store.writing() as db:
        db.executemany("DELETE FROM failed_candidates WHERE key = ?", keys)


def failures_of_seed(store: Store, source_hash: str, seed_id: str) -> dict[int, str]:
    """The reasons why candidates of the seed failed, by the candidates' numbers."""
    query = "SELECT number, reason FROM failed_candidates WHERE generation = ? AND seed_id = ?"
    return {row["number"]: row["reason"] for row in store.db.execute(query, (source_hash, seed_id))}


def failed_numbers(store: Store, source_hash: str) -> set[tuple[str, int]]:
    """The pair (seed id, number) of each failed candidate."""
    query = "SELECT seed_id, number FROM failed_candidates WHERE generation = ?"
    return {(row["seed_id"], row["number"]) for row in store.db.execute(query, (source_hash,))}


def count_failures(store: Store, source_hash: str, candidates: int) -> int:
    """The number of wanted candidates that could not be generated."""
    query = (
        "SELECT count(*) FROM failed_candidates f JOIN seeds s ON s.id = f.seed_id WHERE f.generation = ?"
        " AND f.number <= ? AND s.present AND NOT s.excluded AND s.role = 'chosen'"
    )
    return int(store.db.execute(query, (source_hash, candidates)).fetchone()[0])
