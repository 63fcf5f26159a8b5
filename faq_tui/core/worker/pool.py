"""Run several workers at the same time. All their messages arrive on one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.steps import WorkStep, report
from faq_tui.core.worker.parent import run_worker

POLL_S = 0.1  # seconds between two checks for a request to stop

Message = dict[str, Any]
RunWorker = Callable[..., None]


run_and_keep = partial(run_worker, keep=True)


@dataclass(frozen=True)
class Ended:
    """The end of a worker. `error` is the exception of `run_worker`; None if the task has finished."""

    error: BaseException | None


class WorkerPool:
    """Runs tasks in worker children at the same time. Each child is watched by a thread.

    A child that uses a GPU takes another task when it has finished its task.

    All methods must be called by the same thread. A request to stop ends all children. At the end of the `with`
    block, the children that still run are stopped.
    """

    def __init__(self, log: Path, cancel: CancelToken, run: RunWorker = run_and_keep) -> None:
        self._log, self._cancel, self._run = log, cancel, run
        self._stop = CancelToken()
        self._arrived: SimpleQueue[tuple[str, Message | WorkStep | Ended]] = SimpleQueue()
        self._threads: dict[str, threading.Thread] = {}

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads.values():
            thread.join()

    @property
    def running(self) -> list[str]:
        """The keys of the workers that run, the oldest first."""
        return list(self._threads)

    def start(self, key: str, task: str, spec: Message, env: Mapping[str, str]) -> None:
        """Start a worker. `key` identifies this worker in the results of `next`.

        The other arguments are those of `run_worker`.
        """

        def hear(what: Message | WorkStep) -> None:
            self._arrived.put((key, what))

        def work() -> None:
            error = None
            try:
                self._run(task, spec, hear, self._stop, self._log, dict(env), hear)
            except BaseException as caught:  # noqa: BLE001  `next` hands the error to the other thread
                error = caught
            self._arrived.put((key, Ended(error)))

        self._threads[key] = threading.Thread(target=work, name=f"worker {key}", daemon=True)
        self._threads[key].start()

    def next(self) -> tuple[str, Message | Ended]:
        """Return the next message or the end of a worker, with the worker's key. Waits if there is none yet.

        Call this method only while a worker runs. The end of a worker comes after all its messages. This method
        calls `report` with the reports on steps.
        """
        while True:
            if self._cancel.is_set:
                self._stop.set()
            try:
                key, what = self._arrived.get(timeout=POLL_S)
            except Empty:
                continue
            if isinstance(what, WorkStep):
                report(what)
                continue
            if isinstance(what, Ended):
                self._threads.pop(key).join()
            return key, what
