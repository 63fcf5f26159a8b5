"""The list of seeds, a page at a time: what matches a filter, and the rows at given places in the file.

A filter's result is the matching seeds' positions alone, found in file order and handed out while the scan
goes on; texts are read for the rows on the screen only.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faq_tui.core.store.database import Store

SHOWN_CHARACTERS = 400  # of a question, in a row
FIRST_STRETCH, STRETCH = 2000, 65_536  # seeds a step of a search goes through

# What became of a seed. The first that is true, of one source under its present settings and judge.
STATES = {
    "excluded": "s.excluded",
    "held out": "s.role = 'heldout'",
    "in reserve": "s.role = 'pool'",
    "hand-picked": "{person} = 'pick'",
    "rejected": "{person} = 'reject'",
    "picked": "{judge} = 'pick'",
    "none fit": "{judge} = 'reject'",
    "waiting": "{made} = 0",
    "partly": "{made} < :wanted",
    "not judged": "1",
}
_MADE = (
    "(SELECT count(*) FROM candidates c WHERE c.generation = :generation AND c.seed_id = s.id"
    " AND c.number <= :wanted)"
)
# As in `picks.current`: a word on an answer from before the source's settings changed counts no more.
_LAST = (
    "(SELECT CASE WHEN p.candidate_id IS NULL OR EXISTS (SELECT 1 FROM candidates k"
    " WHERE k.id = p.candidate_id AND k.generation = :generation) THEN p.action END"
    " FROM picks p WHERE p.source = :source AND p.seed_id = s.id AND {by} ORDER BY p.id DESC LIMIT 1)"
)
_PARTS = {
    "made": _MADE,
    "person": _LAST.format(by="p.picked_by = 'person'"),
    "judge": _LAST.format(by="p.picked_by = 'judge' AND p.who = :judge"),
}
_STATE = "CASE " + " ".join(f"WHEN {test} THEN '{name}'" for name, test in STATES.items()) + " END"
STATE_SQL = _STATE.format(**_PARTS)

_FILE = "rtrim(rtrim(s.origin, '0123456789'), ':')"

# Of the stored JSON, what is not text: a search for one of these must look into the texts themselves.
_SKELETON = ("role", "content", "system", "user", "assistant", "tool", "[{", "}]", ": ", "}, {", ", ")


_IDS = re.compile("[0-9a-f]{1,12}")


@dataclass(frozen=True)
class View:
    """The source whose candidates and picks a seed's state tells of; all empty where a run has no source."""

    source: str = ""
    generation: str = ""
    judge: str = ""
    wanted: int = 0  # candidates a seed
    columns: tuple[str, ...] = ()  # of every kind of judge, as `judge`


@dataclass(frozen=True)
class SeedFilter:
    """What the list is narrowed to; None and "" narrow nothing."""

    text: str = ""  # in a message, the answer, the file's label, or the start of the id; ASCII case is ignored
    category: str | None = None
    file: str | None = None  # that it came from: one of `origins`
    tag: str | None = None
    state: str | None = None  # one of STATES
    shortest: int | None = None  # characters
    longest: int | None = None

    def __bool__(self) -> bool:
        return self != SeedFilter()


@dataclass(frozen=True)
class BrowseRow:
    position: int
    id: str
    state: str
    made: int  # candidates so far
    category: str
    language: str
    question: str  # its first SHOWN_CHARACTERS
    length: int  # characters of the whole question
    origin: str
    label: str
    tags: tuple[str, ...]


def total(db: sqlite3.Connection) -> int:
    """How many seeds the file has."""
    return int(db.execute("SELECT count(*) FROM seeds WHERE present").fetchone()[0])


def newest_position(store: Store) -> int:
    """The last seed's place in the file, at once; -1 where there is none."""
    return _last_position(store.db)


def is_dense(db: sqlite3.Connection, count: int) -> bool:
    """True if the n-th seed has position n, as `replace_all` numbers them."""
    return _last_position(db) == count - 1


def matches(db: sqlite3.Connection, view: View, wanted: SeedFilter) -> Iterator[list[int]]:
    """Positions of the seeds that match, in file order, in lists as they are found.

    Each step of SQLite goes through a stretch of the file, so that a thread asks for the interpreter's lock once
    for many rows, and the screen stays quick.
    """
    where, values = _where(wanted)
    query = (
        f"SELECT json_group_array(s.position) FROM seeds s INDEXED BY seeds_browse WHERE {where}"
        " AND s.position >= :from_position AND s.position < :to_position"
    )
    end = _last_position(db) + 1
    start, size = 0, FIRST_STRETCH
    while start < end:
        bounds = {"from_position": start, "to_position": start + size}
        found = json.loads(db.execute(query, {**vars(view), **values, **bounds}).fetchone()[0])
        if found:
            yield sorted(found)
        start, size = start + size, min(STRETCH, size * 4)


def rows_at(store: Store, view: View, positions: Sequence[int]) -> dict[int, BrowseRow]:
    """The seeds at these positions."""
    query = (
        f"SELECT s.position, s.id, {STATE_SQL} AS state, {_MADE} AS made, s.category, s.language, s.length,"
        " s.origin, s.label,"
        f" CAST(substr(json_extract(s.messages, '$[#-1].content'), 1, {SHOWN_CHARACTERS}) AS BLOB) AS question,"
        " (SELECT json_group_array(tag) FROM seed_tags t WHERE t.seed_id = s.id) AS tags"
        " FROM json_each(:positions) j CROSS JOIN seeds s INDEXED BY seeds_browse"
        " ON s.present AND s.position = j.value"
    )
    found = store.db.execute(query, {**vars(view), "positions": json.dumps(list(positions))})
    return {row["position"]: _row(row) for row in found}


def position_of(store: Store, seed_id: str) -> int | None:
    row = store.db.execute("SELECT position FROM seeds WHERE id = ? AND present", (seed_id,)).fetchone()
    return None if row is None else int(row["position"])


def categories(db: sqlite3.Connection) -> list[str]:
    """Every category in the file."""
    query = "SELECT DISTINCT category FROM seeds WHERE present AND category IS NOT NULL ORDER BY category"
    return [row[0] for row in db.execute(query)]


def origins(db: sqlite3.Connection) -> list[str]:
    """Every file that seeds came from: a seed's origin is `file:line`."""
    return [row[0] for row in db.execute(f"SELECT DISTINCT {_FILE} FROM seeds s WHERE s.present ORDER BY 1")]


def tags(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT DISTINCT tag FROM seed_tags ORDER BY tag")]


def roles(db: sqlite3.Connection) -> dict[str, int]:
    """How many seeds are chosen, heldout and pool; excluded ones under their own name."""
    query = (
        "SELECT CASE WHEN excluded THEN 'excluded' ELSE role END, count(*)"
        " FROM seeds INDEXED BY seeds_browse WHERE present GROUP BY 1"
    )
    return dict(db.execute(query).fetchall())


def _last_position(db: sqlite3.Connection) -> int:
    last = db.execute("SELECT max(position) FROM seeds WHERE present").fetchone()[0]
    return -1 if last is None else int(last)


def _where(wanted: SeedFilter) -> tuple[str, dict[str, object]]:
    tests, values = ["s.present"], dict[str, object]()

    def narrow(test: str, **given: object) -> None:
        tests.append(test)
        values.update(given)

    if wanted.category is not None:
        narrow("s.category = :category", category=wanted.category)
    if wanted.file is not None:
        narrow(f"{_FILE} = :file", file=wanted.file)
    if wanted.shortest is not None:
        narrow("s.length >= :shortest", shortest=wanted.shortest)
    if wanted.longest is not None:
        narrow("s.length <= :longest", longest=wanted.longest)
    if wanted.tag is not None:
        narrow("s.id IN (SELECT seed_id FROM seed_tags WHERE tag = :tag)", tag=wanted.tag)
    if wanted.state is not None:
        narrow(f"{STATE_SQL} = :state", state=wanted.state)
    if wanted.text:
        by_id = " OR s.id LIKE :start ESCAPE '!'" if _IDS.fullmatch(wanted.text) else ""
        stored = "s.messages LIKE :stored ESCAPE '!'"
        if any(wanted.text.lower() in part for part in _SKELETON):
            stored += (
                " AND EXISTS (SELECT 1 FROM json_each(s.messages) m"
                " WHERE json_extract(m.value, '$.content') LIKE :text ESCAPE '!')"
            )
        narrow(
            f"(({stored}) OR s.answer LIKE :text ESCAPE '!' OR s.label LIKE :text ESCAPE '!'{by_id})",
            stored=f"%{_like(json.dumps(wanted.text)[1:-1])}%",  # the messages are stored as ASCII JSON
            text=f"%{_like(wanted.text)}%",
            start=f"{_like(wanted.text)}%",
        )
    return " AND ".join(tests), values


def _like(text: str) -> str:
    return "".join(f"!{char}" if char in "%_!" else char for char in text)


def _row(row: sqlite3.Row) -> BrowseRow:
    return BrowseRow(
        position=row["position"],
        id=row["id"],
        state=row["state"],
        made=row["made"],
        category=row["category"] or "",
        language=row["language"] or "",
        question=bytes(row["question"] or b"").decode("utf-8", "replace"),
        length=row["length"],
        origin=row["origin"],
        label=row["label"] or "",
        tags=tuple(json.loads(row["tags"])),
    )
