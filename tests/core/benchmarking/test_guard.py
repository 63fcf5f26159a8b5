"""A guarded program ends with its children."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.benchmarking.guard import guarded

pytestmark = pytest.mark.slow


def test_a_guarded_program_ends_with_its_children(tmp_path: Path) -> None:
    """Even one that starts others and does not listen to SIGTERM."""
    script = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(os.getpid(), child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    log = tmp_path / "log.txt"
    with guarded([sys.executable, "-c", script], log, {}, tmp_path) as guard:
        while not (log.exists() and log.read_text().endswith("\n")):
            assert guard.poll() is None
    pids = [int(pid) for pid in log.read_text().split()]
    assert len(pids) == 2 and not any(_lives(pid) for pid in pids)


LEAVES = (  # starts a process that leaves its session, as the workers of some servers do
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    "print(os.getpid(), child.pid, flush=True)\n"
    "time.sleep(600)\n"
)


@pytest.mark.parametrize("killed", [False, True])
def test_a_child_that_left_the_session_ends_too_even_if_the_guard_is_killed(tmp_path: Path, killed: bool) -> None:
    log = tmp_path / "log.txt"
    with guarded([sys.executable, "-c", LEAVES], log, {}, tmp_path) as guard:
        while not (log.exists() and log.read_text().endswith("\n")):
            assert guard.poll() is None
        pids = [int(pid) for pid in log.read_text().split()]
        assert all(map(_lives, pids))
        if killed:
            guard.kill()
            guard.wait()
            deadline = time.monotonic() + 20
            while _lives(pids[0]):  # the system kills the program itself, without our help
                assert time.monotonic() < deadline
                time.sleep(0.01)
    assert len(pids) == 2 and not any(map(_lives, pids))


def _lives(pid: int) -> bool:
    try:
        state: Any = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and os.getpid() != pid
