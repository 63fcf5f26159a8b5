"""Several workers at the same time: their messages, their ends, and a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.steps import WorkStep, reported_to
from faq_tui.core.worker.pool import Ended, WorkerPool

LOG = Path("log.txt")


def run(
    task: str,
    spec: dict[str, Any],
    on_message: Callable[[dict[str, Any]], None],
    cancel: CancelToken,
    log: Path,
    env: dict[str, str],
    on_step: Callable[[WorkStep], None],
) -> None:
    """In place of `run_worker`: send a message, wait for the other worker or a stop, and raise `spec["error"]`."""
    on_step(WorkStep("loading"))
    on_message({"kind": "began", "env": env, "thread": threading.get_ident()})
    if "wait" in spec:
        spec["wait"].wait(10)
    while spec.get("until_stopped") and not cancel.wait(0.01):
        pass
    cancel.check()
    if "error" in spec:
        raise spec["error"]


def all_of(pool: WorkerPool) -> list[tuple[str, Any]]:
    found = []
    while pool.running:
        found.append(pool.next())
    return found


def test_two_workers_run_at_the_same_time_and_one_that_fails_ends_alone() -> None:
    both, why = threading.Barrier(2), FaqError("broken")
    with WorkerPool(LOG, CancelToken(), run) as pool:
        pool.start("one", "task", {"wait": both, "error": why}, {"A": "1"})
        pool.start("two", "task", {"wait": both}, {"A": "2"})
        assert pool.running == ["one", "two"]
        found = all_of(pool)
    assert not both.broken, "each worker began before the other ended"
    by_key = {key: [what for name, what in found if name == key] for key in ("one", "two")}
    assert by_key["one"][1:] == [Ended(why)] and by_key["two"][1:] == [Ended(None)]
    assert [by_key[key][0]["env"] for key in by_key] == [{"A": "1"}, {"A": "2"}]
    assert threading.get_ident() not in {what["thread"] for what in (by_key["one"][0], by_key["two"][0])}


def test_reports_on_steps_arrive_on_the_thread_that_waits() -> None:
    heard: list[tuple[WorkStep, int]] = []
    with (
        reported_to(lambda step: heard.append((step, threading.get_ident()))),
        WorkerPool(LOG, CancelToken(), run) as pool,
    ):
        pool.start("one", "task", {}, {})
        assert [key for key, _ in all_of(pool)] == ["one", "one"]
    assert heard == [(WorkStep("loading"), threading.get_ident())]


def test_a_stop_ends_all_workers() -> None:
    cancel = CancelToken()
    with WorkerPool(LOG, cancel, run) as pool:
        for name in ("one", "two"):
            pool.start(name, "task", {"until_stopped": True}, {})
        assert {pool.next()[0] for _ in range(2)} == {"one", "two"}
        cancel.set()
        ends = [what for _, what in all_of(pool)]
    assert [type(end.error) for end in ends] == [Stopped, Stopped]


def test_an_error_in_the_block_ends_the_workers_that_still_run() -> None:
    before, began = threading.active_count(), time.monotonic()
    with pytest.raises(ZeroDivisionError), WorkerPool(LOG, CancelToken(), run) as pool:
        pool.start("one", "task", {"until_stopped": True}, {})
        raise ZeroDivisionError
    assert threading.active_count() == before and time.monotonic() - began < 5
