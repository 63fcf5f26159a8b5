"""The replies of LLM judges, word for word, and the results of the test that each judge takes before use."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class ReplyRow:
    """One reply. `error` says why it does not fit the schema; it is empty if the reply fits."""

    raw: str
    error: str


@dataclass(frozen=True)
class ProbeRow:
    """`auc` is None where too few replies could be read; [low, high] is its 95 % interval."""

    auc: float | None
    low: float | None
    high: float | None
    details: dict[str, Any]


@dataclass(frozen=True)
class ReplyKey:
    """Which reply: the judge's column id, the hash of what it was shown, and in which of its orders."""

    judge: str
    unit: str
    turn: int


def add_reply(store: Store, key: ReplyKey, attempt: int, reply: ReplyRow) -> None:
    """Store a reply at once. `attempt`: 0 for the first, 1 for the repaired one. A stored reply stays as it is."""
    with store.writing() as db:
        db.execute(
            "INSERT INTO judge_replies (judge, unit, turn, attempt, raw, error, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (key.judge, key.unit, key.turn, attempt, storable(reply.raw), storable(reply.error), time.time()),
        )


def replies_of(store: Store, key: ReplyKey) -> list[ReplyRow]:
    """The stored replies: none, the first, or the first and the repaired one."""
    query = "SELECT raw, error FROM judge_replies WHERE judge = ? AND unit = ? AND turn = ? ORDER BY attempt"
    return [ReplyRow(row["raw"], row["error"]) for row in store.db.execute(query, (key.judge, key.unit, key.turn))]


def reply_counts(store: Store, judge: str) -> dict[str, int]:
    """How many replies there are, and how many of them did not fit the schema."""
    query = "SELECT count(*) AS replies, coalesce(sum(error <> ''), 0) AS unfit FROM judge_replies WHERE judge = ?"
    return dict(store.db.execute(query, (judge,)).fetchone())


def put_probe(store: Store, judge: str, probe: ProbeRow) -> None:
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO judge_probes (judge, auc, low, high, details, created) VALUES (?, ?, ?, ?, ?, ?)",
            (judge, probe.auc, probe.low, probe.high, json.dumps(probe.details, sort_keys=True), time.time()),
        )


def probe_of(store: Store, judge: str) -> ProbeRow | None:
    row = store.db.execute("SELECT * FROM judge_probes WHERE judge = ?", (judge,)).fetchone()
    return None if row is None else ProbeRow(row["auc"], row["low"], row["high"], json.loads(row["details"]))
