"""Store the last run of each stage: its state, and the signature of its settings and inputs."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class StageRow:
    """The last run of one stage."""

    stage: str
    state: str  # "running", "done", "failed" or "stopped"
    signature: str
    job: str  # id of the job that ran the stage
    pid: int
    started: float  # unix seconds
    finished: float | None  # unix seconds; None if the stage is running or was killed
    message: str  # summary of the stage, or reason of its failure


def begin(store: Store, stage: str, signature: str, job: str) -> None:
    """Record that this process runs the stage."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO stages (stage, state, signature, job, pid, started, finished, message)"
            " VALUES (?, 'running', ?, ?, ?, ?, NULL, '')",
            (stage, signature, job, os.getpid(), time.time()),
        )


def end(store: Store, stage: str, state: str, message: str = "") -> None:
    """Record how the stage ended. `state` is "done", "failed" or "stopped"."""
    with store.writing() as db:
        db.execute(
            "UPDATE stages SET state = ?, finished = ?, message = ? WHERE stage = ?",
            (state, time.time(), storable(message), stage),
        )


def sign_again(store: Store, stage: str, signature: str) -> None:
    """Replace the signature of a finished stage by another signature of the same settings and inputs."""
    with store.writing() as db:
        db.execute("UPDATE stages SET signature = ? WHERE stage = ?", (signature, stage))


def all_rows(store: Store) -> dict[str, StageRow]:
    """Maps stage names to the last run of each stage. Stages that never ran are omitted."""
    return {row["stage"]: StageRow(**dict(row)) for row in store.db.execute("SELECT * FROM stages")}
