"""Store the seeds of a run, their roles, and people's edits."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.text import storable
from faq_tui.core.store import seed_search
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class Seed:
    """One original calibration sample: a conversation that ends with a question, and the answer if there is one."""

    messages: tuple[dict[str, str], ...]  # {"role", "content"}; the last message is the user's question
    answer: str | None  # the original answer; None if there is none
    origin: str  # file:line
    label: str | None = None  # the id that the seed has in its file; None if the file gives no id
    category: str | None = None
    language: str | None = None

    @property
    def id(self) -> str:
        """A hash of the question alone.

        Therefore two rows with the same question but different answers are the same seed.
        """
        return digest(self.messages, length=12)

    @property
    def question(self) -> str:
        """The text of the last message."""
        return self.messages[-1]["content"]


def stored_seeds(store: Store) -> list[tuple[Seed, str]]:
    """The pair (seed, role) of each seed in the file, in file order. Excluded seeds are included."""
    query = "SELECT * FROM seeds WHERE present ORDER BY position"
    return [(_seed(row), row["role"]) for row in store.db.execute(query)]


def replace_all(store: Store, seeds: Iterable[Seed]) -> int:
    """Make `seeds` the run's seeds and return how many there are.

    Earlier seeds that are not in `seeds` stay in the database, marked as not present. The candidates of earlier seeds
    stay, too.
    """
    rows = (
        (s.id, position, s.label, s.category, s.language, json.dumps(s.messages), s.answer, s.origin, len(s.question))
        for position, s in enumerate(seeds)
    )
    with store.writing() as db:
        seed_search.forget(db)
        db.execute("UPDATE seeds SET present = 0, role = 'pool'")
        db.executemany(
            "INSERT INTO seeds (id, position, label, category, language, messages, answer, origin, length)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET present = 1,"
            " position = excluded.position, answer = excluded.answer, label = excluded.label,"
            " category = excluded.category, language = excluded.language, origin = excluded.origin",
            rows,
        )
        return int(db.execute("SELECT count(*) FROM seeds WHERE present").fetchone()[0])


def record_skips(store: Store, skipped: Mapping[str, int]) -> None:
    """Store the number of skipped rows by reason.

    This function creates the table when the first row is skipped, and no migration creates it: with a new migration,
    earlier versions of faq-tui could not open the database.
    """
    if not skipped and not skips(store.db):
        return
    with store.writing() as db:
        db.execute("CREATE TABLE IF NOT EXISTS seed_skips (reason TEXT PRIMARY KEY, count INTEGER NOT NULL)")
        db.execute("DELETE FROM seed_skips")
        db.executemany("INSERT INTO seed_skips (reason, count) VALUES (?, ?)", skipped.items())


def skips(db: sqlite3.Connection) -> dict[str, int]:
    """Maps each reason to the number of rows skipped for this reason, the most frequent reason first."""
    if db.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'seed_skips'").fetchone() is None:
        return {}
    query = "SELECT reason, count FROM seed_skips ORDER BY count DESC, reason"
    return {row[0]: row[1] for row in db.execute(query)}


def assign_roles(store: Store, chosen: Iterable[str], heldout: Iterable[str]) -> None:
    """Set the role of each seed. Seeds in `chosen` are regenerated, and seeds in `heldout` are for the evaluation.

    All other seeds get the role `pool`.
    """
    with store.writing() as db:
        db.execute("UPDATE seeds SET role = 'pool'")
        db.executemany("UPDATE seeds SET role = 'chosen' WHERE id = ?", ((i,) for i in chosen))
        db.executemany("UPDATE seeds SET role = 'heldout' WHERE id = ?", ((i,) for i in heldout))


def ids(store: Store) -> list[str]:
    """Ids of all present seeds in file order."""
    query = "SELECT id FROM seeds WHERE present ORDER BY position"
    return [row["id"] for row in store.db.execute(query)]


def by_role(store: Store, role: str) -> list[Seed]:
    """Seeds of one role that are present and not excluded, in file order."""
    query = "SELECT * FROM seeds WHERE present AND NOT excluded AND role = ? ORDER BY position"
    return [_seed(row) for row in store.db.execute(query, (role,))]


def ids_by_role(store: Store, role: str) -> list[str]:
    """Ids of the seeds that `by_role` returns, in the same order."""
    where = "INDEXED BY seeds_chosen WHERE role = 'chosen'" if role == "chosen" else "WHERE role = :role"
    query = f"SELECT id FROM seeds {where} AND present AND NOT excluded ORDER BY position"
    return [seed_id for (seed_id,) in store.db.execute(query, {"role": role})]


BATCH = 256  # number of seeds that are read at once
_LISTED = "FROM json_each(?) j CROSS JOIN seeds s ON s.id = j.value ORDER BY j.key"


@dataclass(frozen=True)
class StoredSeeds:
    """The seeds with these ids, in this order. They are read from the database each time they are iterated."""

    store: Store
    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Seed]:
        for part in _parts(self.ids):
            for row in self.store.db.execute(f"SELECT s.* {_LISTED}", (part,)).fetchall():
                yield _seed(row)


def answers_of(store: Store, ids: Sequence[str]) -> Iterator[list[str | None]]:
    """Yield [id, original answer] for each of these seeds, in this order."""
    for part in _parts(ids):
        yield from map(list, store.db.execute(f"SELECT s.id, s.answer {_LISTED}", (part,)).fetchall())


def have_answers(store: Store) -> bool:
    """True if at least one seed has an original answer, or an earlier turn of the assistant."""
    query = "SELECT 1 FROM seeds WHERE present AND (answer != '' OR messages LIKE '%\"assistant\"%') LIMIT 1"
    return store.db.execute(query).fetchone() is not None


def _parts(ids: Sequence[str]) -> Iterator[str]:
    return (json.dumps(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH))


def excluded(store: Store) -> set[str]:
    """Ids of the seeds that a person has excluded."""
    return {row["id"] for row in store.db.execute("SELECT id FROM seeds WHERE excluded")}


def get(store: Store, seed_id: str) -> Seed | None:
    """The seed with this id, even if it is not present any more; None if the id is unknown."""
    row = store.db.execute("SELECT * FROM seeds WHERE id = ?", (seed_id,)).fetchone()
    return None if row is None else _seed(row)


def counts(store: Store) -> dict[str, int]:
    """Maps each role (chosen, heldout, pool) to its number of seeds.

    Counts only present seeds that are not excluded.
    """
    query = "SELECT role, count(*) FROM seeds WHERE present AND NOT excluded GROUP BY role"
    return dict.fromkeys(("chosen", "heldout", "pool"), 0) | dict(store.db.execute(query).fetchall())


def find(store: Store, text: str) -> str:
    """Find the id of a seed. `text` is the id, the beginning of the id, or the seed's label.

    Raises UsageError if no seed or more than one seed matches.
    """
    # an id has the digits 0 to f, so the ids that begin with the text are between the text and the text with a g
    query = "SELECT id FROM seeds WHERE label = ?1 OR (id >= ?1 AND id < ?1 || 'g') LIMIT 3"
    named = [row["id"] for row in store.db.execute(query, (text,))]
    if text in named or len(named) == 1:
        return str(text if text in named else named[0])
    if not named:
        raise UsageError(
            f"no seed {text!r} in this run: give the seed_id of a line in calibration/*.jsonl, its first digits, "
            "or the id that the seed has in your own file"
        )
    raise UsageError(f"{text!r} matches more than one seed ({', '.join(named)}): give more digits of the id")


def _seed(row: sqlite3.Row) -> Seed:
    return Seed(
        messages=tuple(json.loads(row["messages"])),
        answer=row["answer"],
        origin=row["origin"],
        label=row["label"],
        category=row["category"],
        language=row["language"],
    )


OPPOSITE = {"exclude": "include", "include": "exclude", "tag": "untag", "untag": "tag"}


@dataclass(frozen=True)
class Edit:
    """A person's edit of a seed."""

    seed_id: str
    action: str  # a key of the dict OPPOSITE
    tag: str = ""


def toggle_excluded(store: Store, seed_id: str, who: str) -> Edit:
    """Exclude the seed, or include it again.

    `who` is the person's user name. The seed keeps its candidates and picks.
    """
    with store.writing() as db:
        row = db.execute("SELECT excluded FROM seeds WHERE id = ?", (seed_id,)).fetchone()
        return _apply(db, Edit(seed_id, "include" if row["excluded"] else "exclude"), who)


def toggle_tag(store: Store, seed_id: str, tag: str, who: str) -> Edit:
    """Add the tag to the seed, or remove it if the seed has it."""
    tag = storable(tag)
    with store.writing() as db:
        tagged = db.execute("SELECT 1 FROM seed_tags WHERE seed_id = ? AND tag = ?", (seed_id, tag)).fetchone()
        return _apply(db, Edit(seed_id, "untag" if tagged else "tag", tag), who)


def undo_edit(store: Store, who: str) -> Edit | None:
    """Undo the newest edit that is not undone yet, and return that edit. Returns None if there is no edit to undo."""
    with store.writing() as db:
        row = db.execute(
            "SELECT * FROM seed_edits e WHERE undoes IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM seed_edits u WHERE u.undoes = e.id) ORDER BY id DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        _apply(db, Edit(row["seed_id"], OPPOSITE[row["action"]], row["tag"]), who, row["id"])
        return Edit(row["seed_id"], row["action"], row["tag"])


def _apply(db: sqlite3.Connection, edit: Edit, who: str, undoes: int | None = None) -> Edit:
    """Apply the edit and record it. If this edit undoes an earlier edit, `undoes` is the id of the earlier edit."""
    match edit.action:
        case "tag":
            db.execute("INSERT OR IGNORE INTO seed_tags (seed_id, tag) VALUES (?, ?)", (edit.seed_id, edit.tag))
        case "untag":
            db.execute("DELETE FROM seed_tags WHERE seed_id = ? AND tag = ?", (edit.seed_id, edit.tag))
        case action:
            db.execute("UPDATE seeds SET excluded = ? WHERE id = ?", (action == "exclude", edit.seed_id))
    db.execute(
        "INSERT INTO seed_edits (seed_id, action, tag, who, created, undoes) VALUES (?, ?, ?, ?, ?, ?)",
        (edit.seed_id, edit.action, edit.tag, storable(who), time.time(), undoes),
    )
    return edit
