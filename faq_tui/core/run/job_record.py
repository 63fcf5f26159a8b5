"""Read and write `jobs/<id>/job.json`, which describes a job's process and stages."""

from __future__ import annotations

import json
import os
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from faq_tui.core.base.files import atomic_text, read_json
from faq_tui.core.base.process import process_identity

FILE = "job.json"
LOG_PREFIX = "faq-tui: "  # a line in a job's log with the reason for the job's end begins with this text


@dataclass(frozen=True)
class Job:
    """One call of the pipeline, in the background or in the terminal.

    `began` is the start time of the job's process. The start time distinguishes this process from a later process
    with the same pid.
    """

    id: str
    folder: Path  # RUN/jobs/<id>
    pid: int
    only: str | None
    until: str | None
    started: float  # unix seconds
    began: str
    stages: tuple[str, ...]  # the requested stages in the order in which they run

    @property
    def run(self) -> Path:
        return self.folder.parent.parent

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"


def new_id() -> str:
    """A new id for a job. Later ids come later in alphabetical order."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"


def write_job(folder: Path, only: str | None, until: str | None, stages: tuple[str, ...]) -> None:
    """Record that this process runs the job in `folder`."""
    pid = os.getpid()
    body = {
        "pid": pid,
        "began": process_identity(pid),
        "only": only,
        "until": until,
        "stages": stages,
        "started": time.time(),
    }
    with atomic_text(folder / FILE) as file:
        json.dump(body, file)


def read_job(folder: Path) -> Job | None:
    """The job in `jobs/<id>`; None if the job never began, or if it was recorded by an older version of faq-tui."""
    try:
        body = read_json(folder / FILE)
        return Job(
            folder.name,
            folder.resolve(),
            int(body["pid"]),
            body["only"],
            body["until"],
            float(body["started"]),
            str(body["began"]),
            tuple(body["stages"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def all_jobs(folder: Path) -> list[Job]:
    """Every job of the run in `folder`, the oldest first."""
    jobs = (read_job(path.parent) for path in (folder / "jobs").glob(f"*/{FILE}"))
    return sorted((job for job in jobs if job), key=lambda job: (job.started, job.id))


def last_job(folder: Path) -> Job | None:
    """The newest job of the run in `folder`. This job may be running, or it may have ended."""
    return max(all_jobs(folder), key=lambda job: (job.started, job.id), default=None)
