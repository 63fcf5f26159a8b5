"""A job's events for a screen: followed on a daemon thread, taken at the screen's own pace."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace

from faq_tui.core.jobs.follow import Timed, follow
from faq_tui.core.run.events import CandidateDelta, Event
from faq_tui.core.run.job_record import Job

MERGED_S = 0.5  # a backlog of a minute as one delta would read as a minute's tokens at once
_BREATH = 500  # events of a replay between two pauses, in which the screen's thread gets its turn


class Feed:
    """Follows one job until its end or `close()`; `drain()` never waits.

    Deltas of one candidate that were not drained yet are merged, half a second of them into the first: a
    screen that is behind gets two a second and candidate, not thousands. Their order with the candidate's
    other events is kept.
    """

    def __init__(self, job: Job, poll_s: float = 0.05) -> None:
        self.job = job
        self.failure = ""  # why following ended before the job did
        self._queue: queue.SimpleQueue[list[Timed]] = queue.SimpleQueue()
        self._batch = _Batch()
        self._closed = threading.Event()
        self._finished = threading.Event()
        # A daemon: it never delays the end of the app.
        threading.Thread(target=self._work, args=(poll_s,), daemon=True, name=f"feed-{job.id}").start()

    def drain(self) -> list[Event]:
        """What came since the last call, in order."""
        return [event for event, _at in self.drain_timed()]

    def drain_timed(self) -> list[Timed]:
        """The same with each event's unix seconds: for rates that survive a replay."""
        found: list[Timed] = []
        while True:
            try:
                found += self._queue.get_nowait()
            except queue.Empty:
                return found

    def close(self) -> None:
        """Stop following; returns at once. The job goes on."""
        self._closed.set()

    @property
    def ended(self) -> bool:
        """True when no event will come any more: the job ended, and the last of it was drained."""
        return self._finished.is_set() and self._queue.empty()

    def _work(self, poll_s: float) -> None:
        try:
            for count, item in enumerate(follow(self.job, self._closed, poll_s, skip_settled=True)):
                if item is not None:
                    self._batch.add(item)
                # One batch waits at a time. Until it is taken, the next one grows here, where it can merge.
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
    """Events in order, consecutive deltas of a candidate as one."""

    def __init__(self) -> None:
        self.items: list[Timed] = []
        self._growing: dict[tuple[str, str, int], int] = {}  # candidate: where its open delta stands in `items`

    def add(self, item: Timed) -> None:
        event, at = item
        if not hasattr(event, "seed_id"):
            self.items.append(item)
            return
        who = (event.seed_id, getattr(event, "source", ""), getattr(event, "index", 0))
        if not isinstance(event, CandidateDelta):
            self._growing.pop(who, None)
            self.items.append(item)
            return
        place = self._growing.get(who)
        if place is None or at - self.items[place][1] > MERGED_S:
            self._growing[who] = len(self.items)
            self.items.append(item)
            return
        before, at = self.items[place]
        assert isinstance(before, CandidateDelta)
        merged = replace(before, reasoning=before.reasoning + event.reasoning, answer=before.answer + event.answer)
        self.items[place] = (merged, at)
