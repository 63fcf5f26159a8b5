"""Where a job stands, by the run's lock, its process and the end of its events; and how to end it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.base.process import process_identity, send_signal
from faq_tui.core.run.job_record import Job, read_job
from faq_tui.core.run.run import lock_owner

State = Literal["running", "done", "failed", "stopped", "killed"]

TAIL = 1 << 20  # bytes from the end in which the last stage's end is looked for; nothing long comes after it
WAIT_S = 1.0  # from taking the lock to a readable job.json


def find_live(folder: Path) -> Job | None:
    """The job that holds the lock of the run in `folder` now, whoever started it."""
    deadline = time.monotonic() + WAIT_S
    while (owner := lock_owner(folder)) is not None:
        job = read_job(folder / "jobs" / owner.job) if owner.job else None
        if job is not None and job.pid == owner.pid and process_identity(job.pid) == job.began:
            return job
        if time.monotonic() > deadline:
            return None  # its lock is all there is of it: it is about to be refused, or is no pipeline
        time.sleep(0.01)
    return None


def is_running(job: Job) -> bool:
    """True while its process lives and holds the run's lock."""
    if process_identity(job.pid) != job.began:
        return False
    owner = lock_owner(job.run)
    return owner is not None and owner.job == job.id


def state(job: Job) -> State:
    """`killed`: it is gone without a word about the end of the stage it was in. Its finished work is kept."""
    return "running" if is_running(job) else _ended(job)


def stop(job: Job) -> bool:
    """Ask it to stop at its next safe point, and return at once; False if it has ended already."""
    return is_running(job) and send_signal(job.pid, job.began, signal.SIGTERM)


def kill(job: Job) -> bool:
    """End it now: what is unfinished is lost, and is done again by the next job. False if it has ended already."""
    return is_running(job) and send_signal(job.pid, job.began, signal.SIGKILL)


def _ended(job: Job) -> State:
    for event in _stage_events_from_the_end(job.events):
        kind = event.get("event")
        if kind == "StageFailed":
            return "stopped" if event.get("exit_code") == ExitCode.STOPPED else "failed"
        whole = kind in ("StageDone", "StageSkipped") and event.get("stage") == job.stages[-1]
        return "done" if whole else "killed"
    return "killed"


def _stage_events_from_the_end(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b"\n")[:-1]  # the last is empty, or was never finished
    except OSError:
        return []
    found = []
    for line in reversed(lines):
        if line.startswith(b'{"event": "Stage') and not line.startswith(b'{"event": "StageProgress"'):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
            break
    return found
