"""What people do to seeds: leave them out, take them back in, tag them. Each is a row; undo adds the opposite row."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from faq_tui.core.store.database import Store
from faq_tui.core.store.text import storable

OPPOSITE = {"exclude": "include", "include": "exclude", "tag": "untag", "untag": "tag"}


@dataclass(frozen=True)
class Edit:
    seed_id: str
    action: str  # one of OPPOSITE
    tag: str = ""


def toggle_excluded(store: Store, seed_id: str, who: str) -> Edit:
    """Exclude the seed, or include it again. A seed's candidates and picks stay in any case."""
    with store.writing() as db:
        row = db.execute("SELECT excluded FROM seeds WHERE id = ?", (seed_id,)).fetchone()
        return _apply(db, Edit(seed_id, "include" if row["excluded"] else "exclude"), who)


def toggle_tag(store: Store, seed_id: str, tag: str, who: str) -> Edit:
    """Put the tag on the seed, or take it off."""
    tag = storable(tag)
    with store.writing() as db:
        found = db.execute("SELECT 1 FROM seed_tags WHERE seed_id = ? AND tag = ?", (seed_id, tag)).fetchone()
        return _apply(db, Edit(seed_id, "untag" if found else "tag", tag), who)


def undo(store: Store, who: str) -> Edit | None:
    """Take back the last edit that stands; returns it, or None if there is none."""
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
