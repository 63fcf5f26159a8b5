"""Steps that come before the units of a stage: downloads, conversions, loading a model, building a kernel.

The code that does such work reports it with `step`. The program that runs this code decides where the reports go: a
job writes them as events, and a worker child sends them to its parent. Without a listener, reports are dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

EVERY_S = 0.5  # shortest time in seconds between two reports of a step
BYTES, TOKENS = "bytes", "tokens"  # units of a step


@dataclass(frozen=True)
class WorkStep:
    """A report on a step.

    `total` is None if the amount of work is not known. `unit` is "" if the work is not counted.
    """

    what: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    ended: bool = False


Listener = Callable[[WorkStep], None]
_listeners: list[Listener] = []


@contextmanager
def reported_to(listener: Listener) -> Iterator[None]:
    """Send the reports of this process to `listener`.

    Any thread may call `listener`, but only one thread at a time.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def report(step: WorkStep) -> None:
    """Send a report to the innermost listener."""
    if _listeners:
        _listeners[-1](step)


class StepProgress:
    """The progress of one step. Any thread may call the methods."""

    def __init__(self, what: str, unit: str) -> None:
        self._what, self._unit = what, unit
        self._done, self._total = 0, 0
        self._lock, self._reported = threading.Lock(), 0.0
        self._begun = False

    def begin(self) -> None:
        """Report that the step begins.

        Do not call this method for a step that may have nothing to do: the first call of `advance` then reports the
        step.
        """
        with self._lock:
            self._report()

    def advance(self, done: int, total: int | None = None) -> None:
        """Set the amount of work that is done, and the total amount if it is known."""
        with self._lock:
            self._done, self._total = done, total or self._total
            if time.monotonic() - self._reported >= EVERY_S:
                self._report()

    def end(self) -> None:
        """Report that the step has ended, if its start was reported."""
        with self._lock:
            if self._begun:
                self._report(ended=True)

    def _report(self, ended: bool = False) -> None:
        self._begun, self._reported = True, time.monotonic()
        report(WorkStep(self._what, self._done, self._total or None, self._unit, ended))


@contextmanager
def step(what: str, unit: str = "", at_once: bool = True) -> Iterator[StepProgress]:
    """Report the step `what`, such as "loading the model", while the block runs.

    If `at_once` is false, nothing is reported until the first call of `advance`.
    """
    progress = StepProgress(what, unit)
    if at_once:
        progress.begin()
    try:
        yield progress
    finally:
        progress.end()
