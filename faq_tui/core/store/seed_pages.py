"""Read the list of seeds page by page: find the seeds that match a filter, and read rows at given positions.

`matches` yields the positions of matching seeds in file order. The function yields the first positions before it has
searched all seeds. `rows_at` reads the texts of the rows on the screen.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faq_tui.core.store import seed_search
from faq_tui.core.store.database import Store

SHOWN_CHARACTERS = 400  # maximum number of characters of a question that a row shows

# number of seeds that a search reads in its first step, and the largest number that it reads in a later step
FIRST_STRETCH, STRETCH = 2000, 65_536

# The possible states of a seed for one source and judge. Each state has a test. A seed has the first state
# whose test is true.
STATES = {
    "excluded": "s.excluded",
    "held out": "s.role = 'heldout'",
    "unused": "s.role = 'pool'",
    "hand-picked": "{person} = 'pick'",
    "rejected": "{person} = 'reject'",
    "picked": "{judge} = 'pick'",
    "none usable": "{judge} = 'reject'",
    "waiting": "{made} = 0",
    "partly": "{made} < :candidates",
    "not judged": "1",
}
_MADE = (
    "(SELECT count(*) FROM candidates c WHERE c.generation = :source_hash AND c.seed_id = s.id"
    " AND c.number <= :candidates)"
)
# Picks of candidates that were made with earlier settings of the source are ignored, as in `judged.standings`.
_LAST = (
    "(SELECT CASE WHEN p.candidate_id IS NULL OR EXISTS (SELECT 1 FROM candidates k"
    " WHERE k.id = p.candidate_id AND k.generation = :source_hash{which}) THEN p.action END"
    " FROM picks p WHERE p.source = :source AND p.seed_id = s.id AND {by} ORDER BY p.id DESC LIMIT 1)"
)
_PARTS = {
    "made": _MADE,
    "person": _LAST.format(by="p.picked_by = 'person'", which=""),
    "judge": _LAST.format(by="p.picked_by = 'judge' AND p.who = :judge", which=" AND k.number <= :candidates"),
}
_STATE = "CASE " + " ".join(f"WHEN {test} THEN '{name}'" for name, test in STATES.items()) + " END"
STATE_SQL = _STATE.format(**_PARTS)

_FILE = "rtrim(rtrim(s.origin, '0123456789'), ':')"

# The JSON in which a seed's messages are stored can contain the texts in _SKELETON outside the contents of the
# messages. If the text that a person looks for is a part of a text in _SKELETON, the JSON must be parsed.
_SKELETON = ("role", "content", "system", "user", "assistant", "tool", "[{", "}]", ": ", "}, {", ", ")

_IDS = re.compile("[0-9a-f]{1,12}")


@dataclass(frozen=True)
class View:
    """The source and the judge for which the state of a seed is shown.

    All fields are empty if the run has no source.
    """

    source: str = ""
    source_hash: str = ""  # hash of the source's present settings, as in the column `generation`
    judge: str = ""
    candidates: int = 0  # planned number of candidates per seed
    columns: tuple[str, ...] = ()  # column ids of all judges that score


@dataclass(frozen=True)
class SeedFilter:
    """A filter of the list.

    A field that is None or "" is ignored. The list shows the seeds that match all other fields.
    """

    # Text to search for in messages, answers and labels, or the start of an id. The case of ASCII letters is ignored.
    text: str = ""
    category: str | None = None
    file: str | None = None  # the file that the seed came from; one of the results of `origins`
    tag: str | None = None
    state: str | None = None  # one of STATES
    shortest: int | None = None  # only seeds with at least this many characters match
    longest: int | None = None

    def __bool__(self) -> bool:
        return self != SeedFilter()


@dataclass(frozen=True)
class SeedListRow:
    """A seed in the list."""

    position: int  # position in the seed file, counted from 0
    id: str
    state: str  # the state that is shown, as a key of STATES
    made: int  # number of candidates that exist
    category: str
    language: str
    question: str  # the first SHOWN_CHARACTERS characters of the question
    length: int  # number of characters of the whole question
    origin: str
    label: str
    tags: tuple[str, ...]


def total(db: sqlite3.Connection) -> int:
    """How many seeds the file has."""
    return int(db.execute("SELECT count(*) FROM seeds WHERE present").fetchone()[0])


def newest_position(store: Store) -> int:
    """The position of the last seed; -1 if there are no seeds. A database index makes the query fast."""
    return _last_position(store.db)


def is_dense(db: sqlite3.Connection, count: int) -> bool:
    """True if positions have no gaps.

    The n-th seed then has position n, counted from 0. `count` is the number of seeds.
    """
    return _last_position(db) == count - 1


def matches(db: sqlite3.Connection, view: View, seed_filter: SeedFilter) -> Iterator[list[int]]:
    """Yield lists of the positions of matching seeds, in file order.

    Each query scans many rows. During a query, SQLite releases Python's global interpreter lock, so the screen stays
    fast if another thread runs the queries.
    """
    where, values = _where(seed_filter)
    query = (
        f"SELECT json_group_array(s.position) FROM seeds s INDEXED BY seeds_browse WHERE {where}"
        " AND s.position >= :from_position AND s.position < :to_position"
    )
    if (few := _few_positions(db, seed_filter)) is not None:
        yield from _matches_among(db, few, where, {**vars(view), **values})
        return
    end = _last_position(db) + 1
    start, size = 0, FIRST_STRETCH
    while start < end:
        bounds = {"from_position": start, "to_position": start + size}
        positions = json.loads(db.execute(query, {**vars(view), **values, **bounds}).fetchone()[0])
        if positions:
            yield sorted(positions)
        start, size = start + size, min(STRETCH, size * 4)


def _few_positions(db: sqlite3.Connection, seed_filter: SeedFilter) -> list[int] | None:
    """The positions of all seeds that may match, from the index of texts; None if the index does not help."""
    found = seed_search.positions(db, seed_filter.text)
    if found is None or not _IDS.fullmatch(seed_filter.text):
        return found
    query = f"SELECT position FROM seeds WHERE present AND id GLOB ? LIMIT {seed_search.MOST_POSITIONS}"
    return sorted({*found, *(position for (position,) in db.execute(query, (f"{seed_filter.text}*",)))})


def _matches_among(
    db: sqlite3.Connection, positions: list[int], where: str, values: dict[str, object]
) -> Iterator[list[int]]:
    query = (
        "SELECT json_group_array(s.position) FROM json_each(:positions) j CROSS JOIN seeds s INDEXED BY seeds_browse"
        f" ON s.present AND s.position = j.value WHERE {where}"
    )
    found = json.loads(db.execute(query, {**values, "positions": json.dumps(positions)}).fetchone()[0])
    if found:
        yield sorted(found)


def rows_at(store: Store, view: View, positions: Sequence[int]) -> dict[int, SeedListRow]:
    """Maps positions to rows. Positions without a seed are omitted."""
    query = (
        f"SELECT s.position, s.id, {STATE_SQL} AS state, {_MADE} AS made, s.category, s.language, s.length,"
        " s.origin, s.label,"
        f" CAST(substr(json_extract(s.messages, '$[#-1].content'), 1, {SHOWN_CHARACTERS}) AS BLOB) AS question,"
        " (SELECT json_group_array(tag) FROM seed_tags t WHERE t.seed_id = s.id) AS tags"
        " FROM json_each(:positions) j CROSS JOIN seeds s INDEXED BY seeds_browse"
        " ON s.present AND s.position = j.value"
    )
    rows = store.db.execute(query, {**vars(view), "positions": json.dumps(list(positions))})
    return {row["position"]: _row(row) for row in rows}


def position_of(store: Store, seed_id: str) -> int | None:
    """The seed's position in the file; None if the file no longer contains the seed."""
    row = store.db.execute("SELECT position FROM seeds WHERE id = ? AND present", (seed_id,)).fetchone()
    return None if row is None else int(row["position"])


def categories(db: sqlite3.Connection) -> list[str]:
    """All categories of the seeds, in alphabetical order."""
    query = "SELECT DISTINCT category FROM seeds WHERE present AND category IS NOT NULL ORDER BY category"
    return [row[0] for row in db.execute(query)]


def origins(db: sqlite3.Connection) -> list[str]:
    """The names of all files that contain the seeds, in alphabetical order."""
    return [row[0] for row in db.execute(f"SELECT DISTINCT {_FILE} FROM seeds s WHERE s.present ORDER BY 1")]


def tags(db: sqlite3.Connection) -> list[str]:
    """All tags of the seeds, in alphabetical order."""
    return [row[0] for row in db.execute("SELECT DISTINCT tag FROM seed_tags ORDER BY tag")]


def roles(db: sqlite3.Connection) -> dict[str, int]:
    """Maps each role (chosen, heldout, pool) to its number of seeds. Excluded seeds are counted as "excluded"."""
    query = (
        "SELECT CASE WHEN excluded THEN 'excluded' ELSE role END, count(*)"
        " FROM seeds INDEXED BY seeds_browse WHERE present GROUP BY 1"
    )
    return dict(db.execute(query).fetchall())


def _last_position(db: sqlite3.Connection) -> int:
    last = db.execute("SELECT max(position) FROM seeds WHERE present").fetchone()[0]
    return -1 if last is None else int(last)


def _where(seed_filter: SeedFilter) -> tuple[str, dict[str, object]]:
    """The SQL test of a filter, and the values of its parameters."""
    tests, values = ["s.present"], dict[str, object]()

    def narrow(test: str, **given: object) -> None:
        tests.append(test)
        values.update(given)

    if seed_filter.category is not None:
        narrow("s.category = :category", category=seed_filter.category)
    if seed_filter.file is not None:
        narrow(f"{_FILE} = :file", file=seed_filter.file)
    if seed_filter.shortest is not None:
        narrow("s.length >= :shortest", shortest=seed_filter.shortest)
    if seed_filter.longest is not None:
        narrow("s.length <= :longest", longest=seed_filter.longest)
    if seed_filter.tag is not None:
        narrow("s.id IN (SELECT seed_id FROM seed_tags WHERE tag = :tag)", tag=seed_filter.tag)
    if seed_filter.state is not None:
        narrow(f"{STATE_SQL} = :state", state=seed_filter.state)
    if seed_filter.text:
        by_id = " OR s.id LIKE :start ESCAPE '!'" if _IDS.fullmatch(seed_filter.text) else ""
        stored = "s.messages LIKE :stored ESCAPE '!'"
        if any(seed_filter.text.lower() in part for part in _SKELETON):
            stored += (
                " AND EXISTS (SELECT 1 FROM json_each(s.messages) m"
                " WHERE json_extract(m.value, '$.content') LIKE :text ESCAPE '!')"
            )
        narrow(
            f"(({stored}) OR s.answer LIKE :text ESCAPE '!' OR s.label LIKE :text ESCAPE '!'{by_id})",
            # the stored messages are JSON that contains only ASCII
            stored=f"%{_like(json.dumps(seed_filter.text)[1:-1])}%",
            text=f"%{_like(seed_filter.text)}%",
            start=f"{_like(seed_filter.text)}%",
        )
    return " AND ".join(tests), values


def _like(text: str) -> str:
    """A LIKE pattern that matches the text literally; `!` is the escape character."""
    return "".join(f"!{char}" if char in "%_!" else char for char in text)


def _row(row: sqlite3.Row) -> SeedListRow:
    return SeedListRow(
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
