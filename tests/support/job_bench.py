"""A job of the test's own process, its events, and waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from faq_tui.core.run.events import (
    Event,
    to_json,
)
from faq_tui.core.run.job_record import Job, read_job, write_job
from faq_tui.core.run.run import locked, open_run
from tests.support.shell import make_run

ONE = "candidates = 1\nconcurrency = 2"  # of a source


def wait_for(moment: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not moment():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def live(folder: Path) -> Iterator[Job]:
    """A job of this very process, which holds the lock as long as the block."""
    with open_run(make_run(folder)) as run, locked(run, "here"):
        place = run.jobs / "here"
        place.mkdir(parents=True)
        write_job(place, None, None, ("seeds", "regenerate"))
        job = read_job(place)
        assert job is not None
        yield job


def write(job: Job, *events: Event | bytes, mode: str = "ab") -> None:
    with job.events.open(mode) as file:
        for event in events:
            file.write(event if isinstance(event, bytes) else to_json(event, 5.0).encode() + b"\n")
