"""Jobs as real processes: who outlives whom, who may work on a run, and what a follower sees."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode, FaqError, UsageError
from faq_tui.core.base.process import process_identity, send_signal
from faq_tui.core.jobs import Feed, find_live, follow, kill, start, state, stop
from faq_tui.core.run.events import (
    CandidateDelta,
    CandidateDone,
    CandidateRetried,
    CandidateStarted,
    Event,
    Note,
    StageDone,
    StageFailed,
    StageProgress,
    StageSkipped,
    StageStarted,
    to_json,
)
from faq_tui.core.run.job_record import Job, all_jobs, last_job, read_job, write_job
from faq_tui.core.run.run import Owner, lock_owner, locked, open_run
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import environment, faq_tui, make_run, refused, started, stored

SLOW = Behaviour(pieces_per_s=20)  # about a second a candidate
ENDLESS = Behaviour(pieces_per_s=20, words=2000)
ONE = "candidates = 1\nconcurrency = 2"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def folder(server: FakeServer, tmp_path: Path) -> Iterator[Path]:
    """A run of 4 seeds; whatever still works on it at the end of the test is killed."""
    yield make_run(tmp_path / "run", server.url, source=ONE)
    for job in all_jobs(tmp_path / "run"):
        kill(job)


def wait_for(moment: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not moment():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    with pytest.raises(UsageError, match="judge needs seeds"):
        start(folder, only="judge")
    assert list((folder / "jobs").iterdir()) == []
    with pytest.raises(UsageError, match="no run folder at"):
        start(tmp_path / "nowhere")
    server.behaviour = Behaviour(api_key="another")
    job = start(folder, until="regenerate")
    wait_for(lambda: state(job) != "running")
    assert state(job) == "failed"


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


def replayed(job: Job, skip_settled: bool = False) -> list[Event]:
    found = follow(job, threading.Event(), 0.01, skip_settled)
    return [item[0] for item in found if item is not None]


@pytest.mark.slow
def test_following_from_the_start_sees_every_event_in_order(server: FakeServer, folder: Path) -> None:
    server.behaviour = SLOW
    job = start(folder, until="regenerate")
    idle = 0
    seen: list[tuple[Event, float]] = []
    for item in follow(job, threading.Event()):
        idle += item is None
        seen += [item] if item else []
    assert state(job) == "done" and idle > 3
    assert "".join(to_json(event, at) + "\n" for event, at in seen) == job.events.read_text()
    assert [item for item in follow(job, threading.Event(), 0.01) if item] == seen
    feed = Feed(job)
    fed: list[Event] = []
    while not feed.ended:
        fed += feed.drain()
    settled = [event for event, _ in seen if not isinstance(event, CandidateDelta)]
    assert fed == settled and len(settled) < len(seen)


def test_half_a_line_unknown_kinds_and_noise(tmp_path: Path) -> None:
    with live(tmp_path) as job:
        found = follow(job, threading.Event(), 0.01)
        assert next(found) is None  # no file yet
        line = to_json(Note("größer"), 5.0).encode()
        middle = line.index("ö".encode()) + 1
        write(job, line[:middle])
        assert next(found) is None and next(found) is None
        write(job, line[middle:])
        assert next(found) is None
        write(job, b"\n", b'{"event": "FromTheFuture", "time": 1}\n', b"\0\0\xff\n", b"7\n", b'{"event": "Note"}\n')
        write(job, Note("last"), b'{"event": "No')
        assert next(found) == (Note("größer"), 5.0)
        assert next(found) == (Note("last"), 5.0)
        assert next(found) is None
    assert list(found) == []  # it ended; the half line never became one
    assert replayed(job) == [Note("größer"), Note("last")]


def delta(number: int, text: str) -> CandidateDelta:
    return CandidateDelta("s", 'el", "index": 7, "der', number, "", text)


def test_settled_deltas_are_left_out_of_a_late_start(tmp_path: Path) -> None:
    source = delta(0, "").source
    done = CandidateDone("s", source, 1, 1, 9, 1.0, ())
    retried = CandidateRetried("s", source, 2, 1, 0.5, "cut")
    begun = CandidateStarted("s", source, 2)
    with live(tmp_path) as job:
        write(job, delta(1, "a"), delta(2, "half"), delta(12, "x"), done, retried, begun, delta(2, "new"))
    everything = [delta(1, "a"), delta(2, "half"), delta(12, "x"), done, retried, begun, delta(2, "new")]
    assert replayed(job) == everything
    assert replayed(job, skip_settled=True) == [delta(12, "x"), done, retried, begun, delta(2, "new")]


def test_a_screen_that_is_behind_gets_merged_deltas(tmp_path: Path) -> None:
    with live(tmp_path) as job:
        feed = Feed(job, 0.01)
        write(job, Note("first"))
        wait_for(lambda: feed._queue.qsize())
        for n in range(300):
            write(job, delta(1, f"{n} "), delta(2, "b"))
        write(job, CandidateStarted("s", delta(1, "").source, 1), delta(1, "again"), delta(2, "b"))
        time.sleep(0.1)
        got: list[Event] = []

        def all_there() -> bool:
            got.extend(feed.drain())
            return sum(len(e.answer) for e in got if isinstance(e, CandidateDelta) and e.number == 2) == 301

        wait_for(all_there)
        text = "".join(e.answer for e in got if isinstance(e, CandidateDelta) and e.number == 1)
        assert text == "".join(f"{n} " for n in range(300)) + "again"
        assert got[0] == Note("first") and len(got) < 20
        again = got.index(CandidateStarted("s", delta(1, "").source, 1))
        assert [e.answer for e in got[again:] if isinstance(e, CandidateDelta) and e.number == 1] == ["again"]
        assert not feed.ended
    wait_for(lambda: feed.ended)


def test_closing_a_feed_does_not_wait(tmp_path: Path) -> None:
    with live(tmp_path) as job:
        write(job, *[Note(str(n)) for n in range(20_000)])
        for pause in (0.0, 1.0):
            feed = Feed(job, poll_s=30)
            time.sleep(pause)
            begin = time.monotonic()
            feed.close()
            assert time.monotonic() - begin < 0.2
            names = [thread for thread in threading.enumerate() if thread.name == f"feed-{job.id}"]
            assert all(thread.daemon for thread in names)
            for thread in names:
                thread.join(2)
                assert not thread.is_alive()


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
