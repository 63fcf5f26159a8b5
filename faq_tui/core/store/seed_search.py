"""An index of the texts of the seeds, for searches in runs with very many seeds.

The index is a full-text table (FTS5) of trigrams: for every three neighbouring characters, it holds the positions of
the seeds that contain them. It gives a few positions that may match, and the search then tests the texts themselves.
So a search finds parts of words in every language, exactly as without the index.

The table has no migration, because some builds of SQLite lack FTS5. Without the table, searches read all seeds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from faq_tui.core.store.database import Store

FROM_SEEDS = 20_000  # with fewer seeds, a search reads all of them in less than 0.1 s
STEP = 20_000  # number of seeds that are indexed in one transaction
LENGTH = 3  # number of characters of a trigram
MOST_TRIGRAMS = 12  # of one search; further trigrams would cost more than they save
MOST_POSITIONS = 5000  # with more positions, reading the seeds in file order shows the first matches sooner

_TABLE = "CREATE VIRTUAL TABLE IF NOT EXISTS seed_search USING fts5"
_OPTIONS = "(text, content = '', detail = none, columnsize = 0, tokenize = 'trigram')"
_STATE = "CREATE TABLE IF NOT EXISTS seed_search_state (seeds INTEGER NOT NULL)"
_TEXT = (
    "(SELECT group_concat(json_extract(m.value, '$.content'), char(10)) FROM json_each(s.messages) m)"
    " || char(10) || coalesce(s.answer, '') || char(10) || coalesce(s.label, '')"
)


def forget(db: sqlite3.Connection) -> None:
    """Mark the index as out of date. Call this in the transaction that changes the seeds."""
    if _has_state(db):
        db.execute("DELETE FROM seed_search_state")


def build(store: Store, check: Callable[[], None] = lambda: None) -> bool:
    """Index all present seeds. Returns False if there are few seeds, or if this SQLite cannot make the index.

    `check` is called before each step, and may raise an exception to end the work.
    """
    last = store.db.execute("SELECT max(position) FROM seeds WHERE present").fetchone()[0]
    with store.writing() as db:
        forget(db)
        if last is None or last + 1 < FROM_SEEDS:
            db.execute("DROP TABLE IF EXISTS seed_search")
            return False
        try:
            db.execute("DROP TABLE IF EXISTS seed_search")
            db.execute(_TABLE + _OPTIONS)
        except sqlite3.OperationalError as error:
            if "no such" not in str(error):  # "no such module: fts5" or "no such tokenizer: trigram"
                raise
            return False
        db.execute(_STATE)
    for start in range(0, last + 1, STEP):
        check()
        with store.writing() as db:
            db.execute(
                f"INSERT INTO seed_search (rowid, text) SELECT s.position, {_TEXT}"
                " FROM seeds s INDEXED BY seeds_browse"
                " WHERE s.present AND s.position >= ? AND s.position < ? ORDER BY s.position",
                (start, start + STEP),
            )
    with store.writing() as db:
        db.execute("INSERT INTO seed_search_state (seeds) VALUES (?)", (last + 1,))
    return True


def positions(db: sqlite3.Connection, text: str) -> list[int] | None:
    """The positions of all seeds that may contain `text`, in file order.

    Returns None if the index cannot say this, or if there are more than `MOST_POSITIONS`.
    """
    trigrams = _trigrams(text)
    try:
        if not trigrams or not _has_state(db) or db.execute("SELECT 1 FROM seed_search_state").fetchone() is None:
            return None
        query = f"SELECT rowid FROM seed_search WHERE seed_search MATCH ? ORDER BY rowid LIMIT {MOST_POSITIONS + 1}"
        found = [position for (position,) in db.execute(query, (" AND ".join(trigrams),))]
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):  # another machine made the index, and this SQLite cannot read it
            raise
        return None
    return None if len(found) > MOST_POSITIONS else found


def _has_state(db: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'seed_search_state'"
    return db.execute(query).fetchone() is not None


def _trigrams(text: str) -> list[str]:
    """Some trigrams of the text, quoted for a query. A text without such trigrams gives []."""
    if len(text) < LENGTH or any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        return []
    starts = list(range(0, len(text) - LENGTH + 1))
    step = max(1, len(starts) // MOST_TRIGRAMS)
    found = dict.fromkeys(text[start : start + LENGTH] for start in starts[::step])
    return ['"' + trigram.replace('"', '""') + '"' for trigram in found]
