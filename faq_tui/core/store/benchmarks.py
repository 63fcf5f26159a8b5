"""Store results of public benchmarks, and the reasons why results are missing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store

Key = tuple[str, str, str]  # (subject, engine, name of the task in the settings)


@dataclass(frozen=True)
class Result:
    """The value of one metric for one model on one task, or on a part of a task."""

    subject: str  # an artefact's folder, or "unquantized"
    engine: str  # "lm_eval" or "evalscope"
    task: str  # the task's name in the settings
    name: str  # name of the task or of one of its parts
    metric: str
    filter: str  # how the answer was extracted from the reply; "" or "none" if the whole reply is used
    value: float | None  # None if the value is not finite
    stderr: float | None  # standard error over items; None if the engine does not report it
    n: int  # number of items
    repeats: int  # number of answers that were generated for each item
    num_fewshot: int | None
    version: str  # version of the task
    engine_version: str
    higher_is_better: bool | None  # None if the engine does not report whether higher is better
    items: tuple[float, ...] | None  # the metric's value for each item, in the order of the data; None if not known
    signature: str  # hash of subject, task and settings

    @property
    def key(self) -> Key:
        return self.subject, self.engine, self.task


COLUMNS = tuple(field.name for field in fields(Result))


def replace_results(store: Store, results: Sequence[Result]) -> None:
    """Store all results of one task on one model. Earlier results of this task on this model are replaced.

    `results` must not be empty, and all results must have the same `key`.
    """
    first = results[0]
    assert all(result.key == first.key for result in results)
    placeholders = ", ".join("?" * (len(COLUMNS) + 1))
    with store.writing() as db:
        for table in ("benchmark_results", "benchmark_problems"):
            db.execute(f"DELETE FROM {table} WHERE subject = ? AND engine = ? AND task = ?", first.key)
        db.executemany(
            f"INSERT INTO benchmark_results ({', '.join(COLUMNS)}, created) VALUES ({placeholders})",
            [_row(result) for result in results],
        )


def all_results(store: Store) -> list[Result]:
    """Every result, in the order in which the tasks were finished."""
    rows = store.db.execute(f"SELECT {', '.join(COLUMNS)} FROM benchmark_results ORDER BY created, rowid")
    return [_result(dict(row)) for row in rows]


def latest(store: Store) -> float | None:
    """The Unix time of the newest result; None if there is none."""
    row = store.db.execute("SELECT max(created) FROM benchmark_results").fetchone()
    return None if row[0] is None else float(row[0])


def signatures(store: Store) -> dict[Key, str]:
    """Maps each task that has results to its signature."""
    rows = store.db.execute("SELECT DISTINCT subject, engine, task, signature FROM benchmark_results")
    return {(row["subject"], row["engine"], row["task"]): row["signature"] for row in rows}


def set_problem(store: Store, key: Key, message: str) -> None:
    """Store the reason why a task has no result. `replace_results` removes this reason."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO benchmark_problems (subject, engine, task, message, created)"
            " VALUES (?, ?, ?, ?, ?)",
            (*key, storable(message), time.time()),
        )


def all_problems(store: Store) -> dict[Key, str]:
    """The stored reason of each task without a result."""
    rows = store.db.execute("SELECT subject, engine, task, message FROM benchmark_problems")
    return {(row["subject"], row["engine"], row["task"]): row["message"] for row in rows}


def _row(result: Result) -> tuple[Any, ...]:
    values = asdict(result)
    values["items"] = None if result.items is None else json.dumps(result.items)
    return *(storable(v) if isinstance(v, str) else v for v in values.values()), time.time()


def _result(row: dict[str, Any]) -> Result:
    better, items = row["higher_is_better"], row["items"]
    row["higher_is_better"] = None if better is None else bool(better)
    row["items"] = None if items is None else tuple(json.loads(items))
    return Result(**row)
