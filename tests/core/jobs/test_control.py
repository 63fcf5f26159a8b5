"""Jobs as real processes: who outlives whom, who may work on a run, and what a follower sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode, FaqError, UsageError
from faq_tui.core.base.process import process_identity, send_signal
from faq_tui.core.jobs import find_live, kill, start, state, stop
from faq_tui.core.run.events import (
    Event,
    Note,
    StageDone,
    StageFailed,
    StageProgress,
    StageSkipped,
    StageStarted,
)
from faq_tui.core.run.job_record import Job, all_jobs, last_job
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.job_bench import live, wait_for, write
from tests.support.shell import environment, faq_tui, refused, started, stored

SLOW = Behaviour(pieces_per_s=20)  # about a second a candidate
ENDLESS = Behaviour(pieces_per_s=20, words=2000)


def at_work(job: Job) -> None:
    wait_for(lambda: b"CandidateDelta" in job.events.read_bytes())


STARTER = """
import fcntl, sys, termios, time
from pathlib import Path
from faq_tui.core.base.errors import FaqError
from faq_tui.core.jobs import start
if sys.stdin.isatty():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
while len(sys.argv) > 2 and not Path(sys.argv[2]).exists():
    time.sleep(0.001)
try:
    print(start(Path(sys.argv[1]), until="regenerate").id, flush=True)
except FaqError as error:
    sys.exit(str(error))
time.sleep(60)
"""


def starter(*arguments: Path, terminal: int | None = None) -> subprocess.Popen[str]:
    """A process that starts a job and stays, as an app does; in a session of its own, with `terminal` if given."""
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, *map(str, arguments)],
        stdin=subprocess.DEVNULL if terminal is None else terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment(),
    )


@pytest.mark.parametrize("end", ["kill -9", "closed terminal"])
@pytest.mark.slow
def test_a_job_outlives_its_starter(server: FakeServer, folder: Path, end: str) -> None:
    server.behaviour = SLOW
    master, slave = os.openpty()
    with starter(folder, terminal=slave if end == "closed terminal" else None) as app:
        assert app.stdout is not None
        name = app.stdout.readline().strip()
        os.close(slave)
        job = find_live(folder)
        assert job is not None and (job.id, job.until, job.only) == (name, "regenerate", None)
        assert os.getsid(job.pid) == job.pid
        at_work(job)
        if end == "kill -9":
            app.kill()
        os.close(master)
        assert app.wait(5) == (-signal.SIGKILL if end == "kill -9" else -signal.SIGHUP)
    os.kill(job.pid, signal.SIGHUP)
    assert state(job) == "running" and find_live(folder) == job == last_job(folder)
    wait_for(lambda: state(job) != "running")
    assert state(job) == "done" and find_live(folder) is None
    assert len(stored(folder)) == 4
    assert job.log.read_text() == ""


def test_of_two_starters_at_once_one_gets_the_run(server: FakeServer, folder: Path, tmp_path: Path) -> None:
    server.behaviour = ENDLESS
    go = tmp_path / "go"
    apps = [starter(folder, go) for _ in range(2)]
    try:
        time.sleep(0.7)  # both are waiting for it
        go.touch()
        wait_for(lambda: any(app.poll() is not None for app in apps))
        (loser,) = (app for app in apps if app.poll() is not None)
        job = find_live(folder)
        assert job is not None
        told = loser.communicate()
        assert told[0] == "" and told[1].startswith(f"another faq-tui (process {job.pid}) is working on {folder}")
        assert [path.name for path in (folder / "jobs").iterdir()] == [job.id]
        with pytest.raises(FaqError, match=rf"another faq-tui \(process {job.pid}\)"):
            start(folder)
        assert f"(process {job.pid})" in refused(ExitCode.FAILED, "run", folder)
        at_work(job)
        status = json.loads(faq_tui("status", folder, "--json").out)
        assert status["busy"] and {s["stage"]: s["state"] for s in status["stages"]}["regenerate"] == "running"
    finally:
        for app in apps:
            app.kill()
            app.communicate()


def test_stop_keeps_what_is_finished(server: FakeServer, folder: Path) -> None:
    server.behaviour = SLOW
    job = start(folder, until="regenerate")
    wait_for(lambda: stored(folder))
    assert stop(job)
    wait_for(lambda: state(job) != "running", 5)
    assert state(job) == "stopped" and 0 < len(stored(folder)) < 4
    assert not stop(job) and not kill(job)
    wait_for(lambda: job.log.read_text().startswith("faq-tui: stopped by request"))


@pytest.mark.slow
def test_kill_9_is_seen_and_the_next_job_resumes(server: FakeServer, folder: Path) -> None:
    server.behaviour = SLOW
    first = start(folder, until="regenerate")
    wait_for(lambda: stored(folder))
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: state(first) == "killed", 1)
    assert find_live(folder) is None and last_job(folder) == first
    kept = stored(folder)
    server.behaviour = Behaviour()
    second = start(folder, until="regenerate")
    wait_for(lambda: state(second) != "running")
    assert (state(second), state(first)) == ("done", "killed") and all_jobs(folder) == [first, second]
    assert len(stored(folder)) == 4
    assert {key: count for key, count in server.stats().asked.items() if key in kept} == dict.fromkeys(kept, 1)


def test_a_foreground_run_is_found_and_can_be_stopped(server: FakeServer, folder: Path) -> None:
    server.behaviour = ENDLESS
    with started("run", folder, "--until", "regenerate") as process:
        wait_for(lambda: find_live(folder))
        job = find_live(folder)
        assert job is not None and job.pid == process.pid and job.stages == ("seeds", "regenerate")
        at_work(job)
        assert stop(job)
        assert process.wait(10) == ExitCode.STOPPED
    assert state(job) == "stopped"


def test_what_cannot_begin_says_why_and_leaves_nothing(server: FakeServer, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stage 'nonsense'; the stages are seeds, "):
        start(folder, until="nonsense")
    with pytest.raises(UsageError, match="seeds must be up to date before judge"):
        start(folder, only="judge")
    assert list((folder / "jobs").iterdir()) == []
    with pytest.raises(UsageError, match="no run folder at"):
        start(tmp_path / "nowhere")
    server.behaviour = Behaviour(api_key="another")
    job = start(folder, until="regenerate")
    wait_for(lambda: state(job) != "running")
    assert state(job) == "failed"


ENDS: list[tuple[list[Event | bytes], str]] = [
    ([], "killed"),
    ([StageDone("seeds", 1, "")], "killed"),  # in the second stage, before its first word
    ([StageSkipped("seeds", ""), StageStarted("regenerate", 1, "x")], "killed"),
    ([StageStarted("regenerate", 1, "x"), StageProgress("regenerate", 1, 1)], "killed"),
    ([StageDone("regenerate", 1, "")], "done"),
    ([StageSkipped("regenerate", ""), Note("x")], "done"),
    ([StageDone("regenerate", 1, ""), b'{"event": "StageF'], "done"),
    ([b'{"event": "StageDone", "stage": "regen'], "killed"),
    ([StageFailed("seeds", "x", 4)], "stopped"),
    ([StageFailed("regenerate", "x", 3)], "failed"),
]


def test_how_a_job_ended(tmp_path: Path) -> None:
    with live(tmp_path) as job:
        write(job, StageDone("regenerate", 1, ""))
        assert state(job) == "running"  # until it lets go of the run
    for events, expected in ENDS:
        write(job, *events, mode="wb")
        assert state(job) == expected, events


def test_a_pid_that_is_used_again_is_not_the_job(tmp_path: Path) -> None:
    with live(tmp_path) as job:
        assert state(job) == "running" and find_live(tmp_path) == job
        other = replace(job, began=job.began + "1")
        assert state(other) == "killed"
        assert not stop(other) and not kill(other)
    with subprocess.Popen(["sleep", "60"]) as process:
        began = process_identity(process.pid)
        assert began is not None and not send_signal(process.pid, began + "1", signal.SIGKILL)
        assert process_identity(process.pid) == began
        assert send_signal(process.pid, began, signal.SIGKILL)
        wait_for(lambda: process_identity(process.pid) is None)  # a zombie has ended
        assert process.returncode is None and not send_signal(process.pid, began, signal.SIGKILL)
