"""Worker children that have finished a task and wait for the next one.

A new worker for a GPU imports torch and transformers, starts CUDA and loads its kernels. This takes several seconds.
A worker that has done so for one task begins the next task at once. Only children that use a GPU stay (see
`child.cleaned_up`).
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from faq_tui.core.worker.forked import LEAVING_S, Child, wait_or_kill


@dataclass(frozen=True)
class Worker:
    """A child. `read_fd` is the channel for its messages, and `lifeline` is its stdin.

    `environment` and `log` are those with which the child was started. They do not change.
    """

    environment: dict[str, str]
    log: Path
    child: Child
    read_fd: int
    lifeline: BinaryIO

    def close(self) -> None:
        os.close(self.read_fd)
        with suppress(BrokenPipeError):
            self.lifeline.close()  # the child ends when its stdin is closed


_lock = threading.Lock()
_waiting: list[Worker] = []


def give(worker: Worker) -> None:
    """Keep a worker until `take` or `end_kept` is called, or this process ends."""
    with _lock:
        _waiting.append(worker)


def take(environment: dict[str, str], log: Path) -> Worker | None:
    """A waiting worker with these environment variables and this log; None if there is none."""
    with _lock:
        for worker in list(_waiting):
            if worker.child.poll() is not None:
                _waiting.remove(worker)
                worker.close()
            elif (worker.environment, worker.log) == (environment, log):
                _waiting.remove(worker)
                return worker
    return None


@atexit.register
def end_kept() -> bool:
    """End all waiting workers, which hold some memory of a GPU and of the host. Returns False if there is none."""
    with _lock:
        ended = list(_waiting)
        _waiting.clear()
    for worker in ended:
        worker.close()
    deadline = time.monotonic() + LEAVING_S
    for worker in ended:
        wait_or_kill(worker.child, deadline - time.monotonic())
    return bool(ended)
