"""Store the last run of each stage: its state, and the signature of its settings and inputs."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store, connect_to_read


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


def rows_of_file(path: Path) -> dict[str, StageRow]:
    """The same as `all_rows`, read from the database file. The file is neither changed nor copied.

    Returns {} if there is no such file. Raises UsageError if the file is not a database of a run.
    """
    if not path.is_file():
        return {}
    try:
        with closing(connect_to_read(path, timeout_s=1.0)) as db:
            db.row_factory = sqlite3.Row
            return {str(row["stage"]): _checked(row) for row in db.execute("SELECT * FROM stages")}
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a database that faq-tui can read ({error}): move the file away") from None


def _checked(row: sqlite3.Row) -> StageRow:
    """The stage's row. Raises TypeError or ValueError if a value does not have the type that faq-tui writes."""
    values = dict(row)
    finished = values["finished"]
    values |= {"started": float(values["started"]), "finished": None if finished is None else float(finished)}
    return StageRow(**{**values, "state": str(values["state"]), "message": str(values["message"])})
