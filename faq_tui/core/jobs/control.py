"""Start a job, find it, report its state, and end it. A job continues when this process or its terminal ends.

The job's state is derived from the run's lock, the process and the last events.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

from faq_tui.core.base.errors import ExitCode, FaqError, Stopped, UsageError
from faq_tui.core.base.files import full_disk_is_clear, private_folder
from faq_tui.core.base.process import process_identity, send_signal
from faq_tui.core.run.events import STAGE_LINES, Event, StageDone, StageFailed, StageSkipped, from_json
from faq_tui.core.run.job_record import LOG_PREFIX, Job, new_id, read_job
from faq_tui.core.run.run import in_use, lock_owner, run_folder
from faq_tui.core.worker.parent import QUIET_THREADS

State = Literal["running", "done", "failed", "stopped", "killed"]

# Seconds within which a new job must take the lock. The job first imports its modules, which takes long from a slow
# disk.
PATIENCE_S = 120.0
RECORD_WAIT_S = 1.0  # Seconds within which a job's job.json must be readable after the job has taken the lock.
TAIL = 1 << 20  # Only this number of bytes at the end of events.jsonl is searched for a stage event.


def start(folder: Path, only: str | None = None, until: str | None = None, confirmed: bool = False) -> Job:
    """Start a job and return it once it holds the run's lock.

    This function takes about 1 s, so the app must call it in another thread. Raises FaqError if another process holds
    the lock (the message contains the pid of this process), or if the job reports an error.
    """
    folder = run_folder(folder)
    owner = lock_owner(folder)
    if owner is not None:
        raise in_use(folder, owner)
    job_folder = folder / "jobs" / new_id()
    with full_disk_is_clear(folder):
        private_folder(job_folder)
        child = _spawn(folder, job_folder, only, until, confirmed)
    # A thread waits for the end of the child. Without this thread, the ended child would remain as a zombie process.
    threading.Thread(target=child.wait, daemon=True, name=f"reap-{child.pid}").start()
    return _begun(job_folder, child)


def _spawn(
    folder: Path, job_folder: Path, only: str | None, until: str | None, confirmed: bool
) -> subprocess.Popen[bytes]:
    options = [f"--{name}={value}" for name, value in (("only", only), ("until", until)) if value is not None]
    options += ["--yes"] if confirmed else []
    with (job_folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            # The run's folder may contain a folder `datasets/` or `torch/`. Without the option -P, Python would
            # import this folder instead of the installed library.
            [sys.executable, "-P", "-m", "faq_tui.core.jobs.child", str(folder), job_folder.name, *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a terminal that closes sends no signal to the job
            cwd=folder,
            env={**os.environ, **QUIET_THREADS},
        )


def _begun(job_folder: Path, child: subprocess.Popen[bytes]) -> Job:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        # `poll` is called before the record is read, because the child may write the record and end at once.
        ended = child.poll()
        job = read_job(job_folder)
        if job is not None:
            return job
        if ended is not None:
            raise _refusal(job_folder, ended)
        if time.monotonic() > deadline:
            child.kill()
            raise FaqError(
                f"the job did not begin within {PATIENCE_S:.0f} s: read its output in {job_folder / 'log.txt'}"
            )
        time.sleep(0.02)


def _refusal(job_folder: Path, code: int) -> FaqError:
    """Returns the error that ended the child before the job began.

    If the job's log says why the child ended, this function removes the job's folder.
    """
    log = job_folder / "log.txt"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    reasons = [line.removeprefix(LOG_PREFIX) for line in lines if line.startswith(LOG_PREFIX)]
    if not reasons:
        return FaqError(
            f"the job's process ended before the job began (exit status {code}): read its output in {log}"
        )
    shutil.rmtree(job_folder, ignore_errors=True)
    kinds: dict[int, type[FaqError]] = {ExitCode.USAGE: UsageError, ExitCode.STOPPED: Stopped}
    return kinds.get(code, FaqError)(reasons[-1])


def find_live(folder: Path) -> Job | None:
    """The job that now holds the lock of the run in `folder`; None if there is none."""
    deadline = time.monotonic() + RECORD_WAIT_S
    while (owner := lock_owner(folder)) is not None:
        job = read_job(folder / "jobs" / owner.job) if owner.job else None
        if job is not None and job.pid == owner.pid and process_identity(job.pid) == job.began:
            return job
        if time.monotonic() > deadline:
            # The holder of the lock has written no job.json. Either the holder is not a job, or the job will be
            # refused.
            return None
        time.sleep(0.01)
    return None


def is_running(job: Job) -> bool:
    """True while the job's process holds the run's lock."""
    if process_identity(job.pid) != job.began:
        return False
    owner = lock_owner(job.run)
    return owner is not None and owner.job == job.id


def state(job: Job) -> State:
    """The job's state. `killed` means that the job's process ended without recording the end of its last stage."""
    return "running" if is_running(job) else _ended(job)


def stop(job: Job) -> bool:
    """Request a stop at the job's next safe point, and return at once. Returns False if the job has already ended."""
    return is_running(job) and send_signal(job.pid, job.began, signal.SIGTERM)


def kill(job: Job) -> bool:
    """End the job now.

    The next job repeats the work that this job did not finish. Returns False if the job has already ended.
    """
    return is_running(job) and send_signal(job.pid, job.began, signal.SIGKILL)


def _ended(job: Job) -> State:
    match _last_stage_event(job.events):
        case StageFailed(exit_code=ExitCode.STOPPED):
            return "stopped"
        case StageFailed():
            return "failed"
        case StageDone(stage=stage) | StageSkipped(stage=stage) if stage == job.stages[-1]:
            return "done"
        case _:
            return "killed"


def _last_stage_event(path: Path) -> Event | None:
    """The file's last event about the start or end of a stage; None if the last `TAIL` bytes have no such event."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b"\n")[:-1]  # The last piece is empty or an incomplete line, so it is left out.
    except OSError:
        return None
    for line in reversed(lines):
        if line.startswith(STAGE_LINES):
            try:
                return from_json(line)[0]
            except ValueError:
                continue
    return None
