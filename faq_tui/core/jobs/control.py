"""Start the pipeline as a process of its own, which outlives this one and its terminal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

from faq_tui.core.base.errors import ExitCode, FaqError, Stopped, UsageError
from faq_tui.core.base.files import full_disk_is_clear
from faq_tui.core.base.process import process_identity, send_signal
from faq_tui.core.run.job_record import MARK, Job, new_id, read_job
from faq_tui.core.run.run import in_use, lock_owner, run_folder
from faq_tui.core.worker.parent import QUIET_THREADS

PATIENCE_S = 120.0  # for imports from a cold disk


def start(folder: Path, only: str | None = None, until: str | None = None, confirmed: bool = False) -> Job:
    """The new job, once it holds the run's lock (about a second: call it off the UI's thread).

    Raises FaqError: another process holds the lock (its pid is in the sentence), or the child's own reason.
    """
    folder = run_folder(folder)
    owner = lock_owner(folder)
    if owner is not None:
        raise in_use(folder, owner)
    place = folder / "jobs" / new_id()
    with full_disk_is_clear(folder):
        place.mkdir(parents=True)
        child = _spawn(folder, place, only, until, confirmed)
    # Waited for on a thread that nobody waits for: or it stays a zombie as long as this process lives.
    threading.Thread(target=child.wait, daemon=True, name=f"reap-{child.pid}").start()
    return _begun(place, child)


def _spawn(
    folder: Path, place: Path, only: str | None, until: str | None, confirmed: bool
) -> subprocess.Popen[bytes]:
    options = [f"--{name}={value}" for name, value in (("only", only), ("until", until)) if value is not None]
    options += ["--yes"] if confirmed else []
    with (place / "log.txt").open("ab") as log:
        return subprocess.Popen(
            # -P: a `datasets/` or `torch/` in the run's folder must not be imported.
            [sys.executable, "-P", "-m", "faq_tui.core.jobs.child", str(folder), place.name, *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # no terminal, so none of its signals
            cwd=folder,
            env={**os.environ, **QUIET_THREADS},
        )


def _begun(place: Path, child: subprocess.Popen[bytes]) -> Job:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ended = child.poll()  # before the look at its record: it may end right after writing that
        job = read_job(place)
        if job is not None:
            return job
        if ended is not None:
            raise _refusal(place, ended)
        if time.monotonic() > deadline:
            child.kill()
            raise FaqError(f"the job did not begin within {PATIENCE_S:.0f} s: its output is in {place / 'log.txt'}")
        time.sleep(0.02)


def _refusal(place: Path, code: int) -> FaqError:
    """Why it never began, in its own words; then nothing is left of it."""
    log = place / "log.txt"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    if not said:
        return FaqError(f"the job ended before it began (exit status {code}): its output is in {log}")
    shutil.rmtree(place, ignore_errors=True)
    kinds: dict[int, type[FaqError]] = {ExitCode.USAGE: UsageError, ExitCode.STOPPED: Stopped}
    return kinds.get(code, FaqError)(said[-1])


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
