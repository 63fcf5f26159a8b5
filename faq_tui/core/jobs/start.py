"""Start the pipeline as a process of its own, which outlives this one and its terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from faq_tui.core.base.errors import ExitCode, FaqError, Stopped, UsageError
from faq_tui.core.base.files import full_disk_is_clear
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
