"""Play a recorded job: its events arrive at their recorded times, or all at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.shell import command_line
from faq_tui.core.run.events import Timed, from_json

MOST = 5_000  # one call reads at most this many events from the file


class Player:
    """An `EventSource` that plays a recording.

    With `speed` 2, the recording plays twice as fast as the job ran. With `speed` 0, all events come at once.
    """

    failure = ""

    def __init__(self, events: Path, speed: float = 1.0, timer: Callable[[], float] = time.monotonic) -> None:
        """Raises UsageError if the recording has no events or cannot be read."""
        self._speed, self._timer = speed, timer
        try:
            self._file = events.open("rb")
        except OSError as error:
            raise UsageError(f"{events} cannot be played: {error.strerror}") from None
        self._next = self._read()
        if self._next is None:
            raise UsageError(f"{events} contains no events that can be played")
        self._first: float = self._next[1]
        self._now: float = self._first
        self._began: float | None = None
        self.badge = f"replay ×{speed:g}" if speed else "replay"

    def clock(self) -> float:
        """The current time in the recording."""
        return self._now

    @property
    def ended(self) -> bool:
        return self._next is None

    def drain_timed(self) -> list[Timed]:
        """The next events of the recording, up to its current time."""
        if self._began is None:
            self._began = self._timer()
        due = self._first + (self._timer() - self._began) * self._speed if self._speed else float("inf")
        events: list[Timed] = []
        while self._next is not None and self._next[1] <= due and len(events) < MOST:
            events.append(self._next)
            self._next = self._read()
        last = events[-1][1] if events else self._now
        self._now = max(last, due) if self._next is not None and self._speed else last
        return events

    def close(self) -> None:
        self._file.close()
        self._next = None

    def _read(self) -> Timed | None:
        while line := self._file.readline():
            try:
                return from_json(line)
            except ValueError:
                continue
        return None


def recording(folder: Path, job: str | None) -> Path:
    """The file with the events of `job`, or of the newest job if `job` is None.

    Raises UsageError if there is no such file.
    """
    paths = sorted((folder / "jobs").glob("*/events.jsonl"))
    if job is None:
        if not paths:
            raise UsageError(
                f"{folder} has no recorded job: first run the stages with `{command_line('run', folder)}`"
            )
        return paths[-1]
    named = [path for path in paths if path.parent.name == job]
    if not named:
        there = ", ".join(path.parent.name for path in paths) or "none"
        raise UsageError(f"there is no recorded job {job!r} in {folder}; the jobs are {there}")
    return named[0]
