"""The lock of a run folder: a look at it refuses nobody, and its owner is alive."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from pathlib import Path

from faq_tui.core.run.run import Owner, lock_owner, locked, open_run
from tests.support.shell import make_run


def test_a_look_at_the_lock_never_refuses_its_taker(tmp_path: Path) -> None:
    make_run(tmp_path)
    enough = threading.Event()

    def look() -> None:
        while not enough.is_set():
            lock_owner(tmp_path)

    lookers = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    with open_run(tmp_path) as run:
        with locked(run):
            pass
        for looker in lookers:
            looker.start()
        try:
            for _ in range(100):
                with locked(run):
                    pass
        finally:
            enough.set()
    assert lock_owner(tmp_path) is None


def test_the_owner_is_never_one_that_was_killed(tmp_path: Path) -> None:
    """The lock is taken a moment before its new owner has written into it."""
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    with (tmp_path / ".lock").open("w+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for before in ("", f"{dead.pid} old"):
            (tmp_path / ".lock").write_text(before)
            writing = threading.Timer(0.1, (tmp_path / ".lock").write_text, [f"{os.getpid()} new"])
            writing.start()
            assert lock_owner(tmp_path) == Owner(os.getpid(), "new")
            writing.join()
    assert lock_owner(tmp_path) is None
