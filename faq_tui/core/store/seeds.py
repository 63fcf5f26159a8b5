"""Seeds in the database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from faq_tui.core.errors import UsageError
from faq_tui.core.store.database import Store
from faq_tui.core.store.hashing import digest


@dataclass(frozen=True)
class Seed:
    """One original calibration sample: a conversation that ends with a question, perhaps its answer."""

    messages: tuple[dict[str, str], ...]
    answer: str | None
    origin: str
    label: str | None = None
    category: str | None = None
    language: str | None = None

    @property
    def id(self) -> str:
        """A hash of the question alone: the same one with another answer must not be both chosen and held out."""
        return digest(self.messages, length=12)

    @property
    def question(self) -> str:
        return self.messages[-1]["content"]


def replace_all(store: Store, seeds: Iterable[Seed]) -> int:
    """Make `seeds` the run's seeds; those no longer among them stay in the file, marked as not present."""
    rows = (
        (s.id, position, s.label, s.category, s.language, json.dumps(s.messages), s.answer, s.origin, len(s.question))
        for position, s in enumerate(seeds)
    )
    with store.writing() as db:
        db.execute("UPDATE seeds SET present = 0, role = 'pool'")
        db.executemany(
            "INSERT INTO seeds (id, position, label, category, language, messages, answer, origin, length)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET present = 1,"
            " position = excluded.position, answer = excluded.answer, label = excluded.label,"
            " category = excluded.category, language = excluded.language, origin = excluded.origin",
            rows,
        )
        return int(db.execute("SELECT count(*) FROM seeds WHERE present").fetchone()[0])


def assign_roles(store: Store, chosen: Iterable[str], heldout: Iterable[str]) -> None:
    """Mark which seeds are regenerated, which are kept for the evaluation; the others are the pool."""
    with store.writing() as db:
        db.execute("UPDATE seeds SET role = 'pool'")
        db.executemany("UPDATE seeds SET role = 'chosen' WHERE id = ?", ((i,) for i in chosen))
        db.executemany("UPDATE seeds SET role = 'heldout' WHERE id = ?", ((i,) for i in heldout))


def ids(store: Store) -> list[str]:
    """Ids of all present seeds in file order."""
    query = "SELECT id FROM seeds WHERE present ORDER BY position"
    return [row["id"] for row in store.db.execute(query)]


def by_role(store: Store, role: str) -> list[Seed]:
    """Present, not excluded seeds of one role, in file order."""
    query = "SELECT * FROM seeds WHERE present AND NOT excluded AND role = ? ORDER BY position"
    return [_seed(row) for row in store.db.execute(query, (role,))]


def get(store: Store, seed_id: str) -> Seed | None:
    row = store.db.execute("SELECT * FROM seeds WHERE id = ?", (seed_id,)).fetchone()
    return None if row is None else _seed(row)


def counts(store: Store) -> dict[str, int]:
    """Present, not excluded seeds of each role."""
    query = "SELECT role, count(*) FROM seeds WHERE present AND NOT excluded GROUP BY role"
    return dict.fromkeys(("chosen", "heldout", "pool"), 0) | dict(store.db.execute(query).fetchall())


def find(store: Store, text: str) -> str:
    """The id of the seed that `text` names: its id, the start of it, or the file's own label. UsageError if none."""
    query = "SELECT id FROM seeds WHERE id = ?1 OR label = ?1 OR substr(id, 1, length(?1)) = ?1 LIMIT 3"
    found = [row["id"] for row in store.db.execute(query, (text,))]
    exact = [seed_id for seed_id in found if seed_id == text]
    if exact or len(found) == 1:
        return str((exact or found)[0])
    if not found:
        raise UsageError(
            f"no seed {text!r} in this run: give the seed_id of a line in calibration/*.jsonl, its first digits, "
            "or the id that the seed has in your own file"
        )
    raise UsageError(f"{text!r} names more than one seed ({', '.join(found)}): give more of the id")


def _seed(row: sqlite3.Row) -> Seed:
    return Seed(
        messages=tuple(json.loads(row["messages"])),
        answer=row["answer"],
        origin=row["origin"],
        label=row["label"],
        category=row["category"],
        language=row["language"],
    )
