"""Read a job's `events.jsonl` as a stream of events, from the first event.

New events are read while the job writes them.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from faq_tui.core.jobs.control import is_running
from faq_tui.core.run.event_file import end_of_short_form, short_form
from faq_tui.core.run.events import CandidateDelta, Event, Timed, from_json
from faq_tui.core.run.job_record import Job

# In seconds. Deltas of the same candidate are merged if they arrive within MERGED_S. A longer MERGED_S would make the
# displayed token rate wrong.
MERGED_S = 0.5
_BREATH = 500  # A replay pauses after this number of events, so that the thread of the screen can run.


def follow(
    job: Job, stopped: threading.Event, poll_s: float = 0.1, skip_settled: bool = False
) -> Iterator[Timed | None]:
    """Yield every event of the job in order. While there is no new event, yield None about every `poll_s` seconds.

    The stream ends after the job's last event, or when `stopped` is set. With `skip_settled`, the
    events before this call are replaced by fewer events, which give the same state of the job. Invalid lines are
    skipped.
    """
    while not job.events.exists():
        if stopped.is_set() or not is_running(job):
            return
        yield None
        stopped.wait(poll_s)
    file: IO[bytes] = job.events.open("rb")
    try:
        if skip_settled:
            yield from _events(short_form(file, lambda: not stopped.is_set()))
        half = b""
        while not stopped.is_set():
            # First check whether the job is running, and then read. In this order, no line is missed if the job ends
            # during the reading.
            running = is_running(job)
            while (line := file.readline()) and not stopped.is_set():
                half += line
                if not half.endswith(b"\n"):
                    continue  # an incomplete line at the end of the file
                line, half = half, b""
                yield from _events([line])
            if (newer := _replaced(job.events, file)) is not None:
                file.close()
                file, half = newer, b""
                continue
            if not running:
                return
            yield None
            stopped.wait(poll_s)
    finally:
        file.close()


def _events(lines: Iterable[bytes]) -> Iterator[Timed]:
    for line in lines:
        try:
            timed = from_json(line)
        except ValueError:
            continue
        yield timed


def _replaced(path: Path, file: IO[bytes]) -> IO[bytes] | None:
    """If the job has replaced its file by a shorter one, the new file, at the first line that `file` did not have."""
    try:
        if os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return None
        newer = path.open("rb")
    except OSError:
        return None
    newer.seek(end_of_short_form(newer.readline()))
    return newer


class Feed:
    """Follow one job until its end or `close()`. `drain()` never blocks.

    Deltas that wait for `drain` are merged if they belong to the same candidate and are at most `MERGED_S` seconds
    apart. Therefore a slow screen gets about two deltas per second for each candidate instead of thousands. The order
    of a candidate's events is kept.
    """

    def __init__(self, job: Job, poll_s: float = 0.05) -> None:
        self.job = job
        self.failure = ""  # the error if the events could not be read; otherwise ""
        self._queue: queue.SimpleQueue[list[Timed]] = queue.SimpleQueue()
        self._batch = _Batch()
        self._closed = threading.Event()
        self._finished = threading.Event()
        # The thread is a daemon, so that the app can end without waiting for the thread.
        threading.Thread(target=self._work, args=(poll_s,), daemon=True, name=f"feed-{job.id}").start()

    def drain(self) -> list[Event]:
        """The events since the last call, in order."""
        return [event for event, _at in self.drain_timed()]

    def drain_timed(self) -> list[Timed]:
        """The events since the last call, each with its time, so that a replay can compute correct rates."""
        events: list[Timed] = []
        while True:
            try:
                events += self._queue.get_nowait()
            except queue.Empty:
                return events

    def close(self) -> None:
        """Stop following and return at once. The job continues."""
        self._closed.set()

    @property
    def ended(self) -> bool:
        """True if no more events will come: the job has ended, and all events were drained."""
        return self._finished.is_set() and self._queue.empty()

    def _work(self, poll_s: float) -> None:
        try:
            for count, item in enumerate(follow(self.job, self._closed, poll_s, skip_settled=True)):
                if item is not None:
                    self._batch.add(item)
                # Only one batch of events waits for `drain`. Until `drain` takes this batch, new events are collected
                # in the next batch.
                if self._queue.empty():
                    self._hand_over()
                if count % _BREATH == 0:
                    self._closed.wait(0.001)
        except OSError as error:
            self.failure = f"{self.job.events} cannot be read: {error.strerror or error}"
        finally:
            self._hand_over()
            self._finished.set()

    def _hand_over(self) -> None:
        if self._batch.items:
            self._queue.put(self._batch.items)
            self._batch = _Batch()


class _Batch:
    """Events in order. Consecutive deltas of the same candidate are merged."""

    def __init__(self) -> None:
        self.items: list[Timed] = []
        # Maps a candidate to the index of its newest delta in `items`. Later deltas of this candidate are merged into
        # that delta.
        self._growing: dict[tuple[str, str, int], int] = {}

    def add(self, item: Timed) -> None:
        event, at = item
        if not hasattr(event, "seed_id"):
            self.items.append(item)
            return
        who = (event.seed_id, getattr(event, "source", ""), getattr(event, "number", 0))
        if not isinstance(event, CandidateDelta):
            self._growing.pop(who, None)
            self.items.append(item)
            return
        index = self._growing.get(who)
        if index is None or at - self.items[index][1] > MERGED_S:
            self._growing[who] = len(self.items)
            self.items.append(item)
            return
        before, at = self.items[index]
        assert isinstance(before, CandidateDelta)
        merged = replace(before, reasoning=before.reasoning + event.reasoning, answer=before.answer + event.answer)
        self.items[index] = (merged, at)
