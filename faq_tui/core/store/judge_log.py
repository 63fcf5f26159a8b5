"""Store the full replies of LLM judges, and the result of the test that each judge gets before it is used."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class ReplyRow:
    """One reply. `error` is the reason why the reply does not fit the schema; "" if the reply fits."""

    raw: str
    error: str


@dataclass(frozen=True)
class ProbeRow:
    """The result of a judge's test: an AUC and its 95% interval [low, high].

    `auc` is None if too few of the judge's replies fit the schema.
    """

    auc: float | None
    low: float | None
    high: float | None
    details: dict[str, Any]


@dataclass(frozen=True)
class ReplyKey:
    """The key of a reply.

    `judge` is the judge's column id. `unit` is the hash of the prompt's content. A judge may get the same candidates
    several times, each time in another order. `turn` is the number of this order.
    """

    judge: str
    unit: str
    turn: int


def add_reply(store: Store, key: ReplyKey, attempt: int, reply: ReplyRow) -> None:
    """Store a reply.

    `attempt` is 0 for the first reply, and 1 for the reply to a request to repair the first reply. A stored reply is
    not replaced.
    """
    with store.writing() as db:
        db.execute(
            "INSERT INTO judge_replies (judge, unit, turn, attempt, raw, error, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (key.judge, key.unit, key.turn, attempt, storable(reply.raw), storable(reply.error), time.time()),
        )


def replies_of(store: Store, key: ReplyKey) -> list[ReplyRow]:
    """The stored replies. The list has at most two entries.

    The first entry is the reply to the judge's prompt, and the second entry is the repaired reply.
    """
    query = "SELECT raw, error FROM judge_replies WHERE judge = ? AND unit = ? AND turn = ? ORDER BY attempt"
    return [ReplyRow(row["raw"], row["error"]) for row in store.db.execute(query, (key.judge, key.unit, key.turn))]


def reply_counts(store: Store, judge: str) -> dict[str, int]:
    """The number of replies (`replies`), and the number of replies that did not fit the schema (`unfit`)."""
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
