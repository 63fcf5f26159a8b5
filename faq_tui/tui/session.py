"""Find, start, follow and stop the job of a run without blocking the screen.

Daemon threads do everything that can block (locks, new processes, disk access). The threads put callbacks into a
queue, and `pump` calls these callbacks on the UI thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from faq_tui.core import jobs
from faq_tui.core.base.errors import FaqError
from faq_tui.core.jobs import State
from faq_tui.core.run.events import Timed
from faq_tui.core.run.job_record import Job
from faq_tui.tui.live import LiveState

LOOK_EVERY_S = 1.0  # seconds between two searches for a job that another program started
SLICE_S = 0.02  # one call of `pump` handles events for at most this many seconds, so that keys need not wait
KILLED = "the job was killed before it recorded a reason"


class EventSource(Protocol):
    """A source of events: a running job or a recording."""

    failure: str  # the reason why the source ended early; "" if it did not end early

    def drain_timed(self) -> list[Timed]: ...
    @property
    def ended(self) -> bool: ...
    def close(self) -> None: ...


class Session:
    """The app's connection to the job of a run.

    `phase` is "looking", "idle", "starting", "running", "stopping" or "replay". `outcome` is the result of the last
    job.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        self.live = LiveState()
        self.phase = "looking"
        self.job: Job | None = None
        self.outcome: State | None = None
        self.clock = clock
        self._folder, self._say = folder, say
        self._source: EventSource | None = None
        self._pending: deque[Timed] = deque()
        self._callbacks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._closed, self._asked = threading.Event(), threading.Event()

    @property
    def busy(self) -> bool:
        return self.phase in ("starting", "running", "stopping")

    @property
    def waiting(self) -> int:
        """The number of events that were read from the source but are not yet in the live state."""
        return len(self._pending)

    def open(self) -> None:
        """Begin to look for a running job. If no job is running, show the last job."""
        self.look()
        threading.Thread(target=self._look, name="look", daemon=True).start()

    def look(self) -> None:
        """Look for jobs again now. Another program may have started a job, which may have ended already."""
        self._asked.set()

    def close(self) -> None:
        """End the session at once. Jobs keep running."""
        self._closed.set()
        self._asked.set()
        if self._source is not None:
            self._source.close()

    def play(self, source: EventSource) -> None:
        """Show the events of `source` instead of the events of a job."""
        self.phase = "replay"
        self._follow(source)

    def start(self, only: str | None = None, until: str | None = None, confirmed: bool = False) -> None:
        """Start a job. `confirmed` is true if the user has agreed to the cost of regeneration."""
        self.phase = "starting"
        self._changed()
        threading.Thread(target=self._start, args=(only, until, confirmed), name="start", daemon=True).start()

    def stop(self) -> None:
        """Ask the job to stop at its next safe point. Raises FaqError if the job belongs to another user."""
        if self.job is not None and jobs.stop(self.job):
            self.phase = "stopping"
            self._changed()

    def kill(self) -> None:
        if self.job is not None:
            jobs.kill(self.job)

    def pump(self) -> None:
        """Apply some of the new events.

        One call handles only a limited number of events, so that the screen never waits.
        """
        while not self._callbacks.empty():
            self._callbacks.get_nowait()()
        if self._source is None:
            return
        self._pending += self._source.drain_timed()
        until = time.perf_counter() + SLICE_S
        while self._pending and time.perf_counter() < until:
            self.live.apply(*self._pending.popleft())
        if self._source.ended and not self._pending:
            if self._source.failure:
                self._say(self._source.failure)
            self._source.close()
            self._source = None
            if self.job is not None:
                threading.Thread(target=self._conclude, args=(self.job,), name="conclude", daemon=True).start()

    # The following methods run on the UI's thread.

    def _follow(self, source: EventSource) -> None:
        if self._source is not None:
            self._source.close()
        self._source = source
        self._pending.clear()
        self.live = LiveState(version=self.live.version + 1)

    def _attach(self, job: Job | None, running: bool) -> None:
        if job is None or (not running and self.job is not None and (self.busy or job.started <= self.job.started)):
            return
        if job == self.job:
            if running and self.phase == "looking":  # this job was first found as the last job
                self.phase, self.live.stages = "running", job.stages
                self._changed()
            return
        self.job = job
        self.outcome = None
        self.phase = "running" if running else "looking"
        self._follow(jobs.Feed(job))
        self.live.stages = job.stages if running else ()

    def _ended(self, job: Job, state: State) -> None:
        if self.job != job:
            return
        if state == "running":  # the reader failed before the end of the events
            self.job = None
            return
        self.outcome = state
        self.live.stages = ()
        if self.phase != "starting":
            self.phase = "idle"
        if state == "killed":
            self.live.lost(KILLED)
        self._changed()

    def _refused(self, error: FaqError) -> None:
        self.phase = "idle"
        self._changed()
        self._say(str(error))

    def _nothing(self) -> None:
        if self.phase == "looking" and self.job is None:
            self.phase = "idle"
            self._changed()

    def _changed(self) -> None:
        self.live.version += 1

    # The following methods run on daemon threads.

    def _look(self) -> None:
        """Look for a running job regularly, and for the last job only when `look` was called, because that reads the
        record of every job.
        """
        while not self._closed.is_set():
            asked = self._asked.is_set()
            self._asked.clear()
            self._later(self._attach, jobs.find_live(self._folder), True)
            if asked:
                self._later(self._attach, jobs.last_job(self._folder), False)
                self._later(self._nothing)
            self._asked.wait(LOOK_EVERY_S)

    def _start(self, only: str | None, until: str | None, confirmed: bool) -> None:
        try:
            self._later(self._attach, jobs.start(self._folder, only, until, confirmed), True)
        except FaqError as error:
            self._later(self._refused, error)

    def _conclude(self, job: Job) -> None:
        self._later(self._ended, job, jobs.state(job))

    def _later(self, do: Callable[..., None], *arguments: object) -> None:
        """Run a function on the app's thread at the next `pump`."""
        self._callbacks.put(partial(do, *arguments))
