"""Two programs on one run at the same time: two apps, or an app beside a command of the shell. Each is a process."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from faq_tui.core import jobs
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.judged_run import make_judged_run
from tests.support.on_terminal import OnTerminal
from tests.support.shell import FAQ_TUI, environment, make_run
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

PATIENCE_S = 60
JOBS_LINE = 2  # number of the screen's line about the job, from 0


@contextmanager
def app_on(folder: Path) -> Iterator[OnTerminal]:
    shown = OnTerminal(*FAQ_TUI, folder)
    try:
        yield shown
    finally:
        shown.kill()


def left(shown: OnTerminal) -> None:
    """Leave the app with the key q. It must end with the exit code 0 and without a traceback."""
    shown.press(b"q")
    until(lambda: shown.process.poll() is not None, shown)
    assert shown.wait(PATIENCE_S) == 0
    assert b"Traceback" not in shown.got


def until(true: Callable[[], object], *screens: OnTerminal) -> None:
    """Wait, and read what the apps write meanwhile, because a terminal that nobody reads makes an app wait."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "\n".join(["\n".join(shown.lines()) for shown in screens])
        for shown in screens:
            shown.read(0.02)
        time.sleep(0.02)


def picked(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(f"file:{folder}/faq.db?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT seed_id, action FROM picks WHERE picked_by = 'person' ORDER BY id")
        return [(str(seed), str(action)) for seed, action in rows]


def reviewed(shown: OnTerminal) -> str:
    """How many seeds the app shows as reviewed, as in "1 of 3 reviewed"."""
    found = re.search(r"\d+ of \d+ reviewed", "\n".join(shown.lines()))
    return found[0] if found else ""


def test_a_pick_in_one_app_is_shown_by_the_other(tmp_path: Path) -> None:
    folder = make_judged_run(tmp_path / "run")
    with app_on(folder) as one, app_on(folder) as other:
        for shown in (one, other):
            shown.wait_to_see("Seeds", seconds=PATIENCE_S)
            shown.press(b"\x1bOR")  # f3
            shown.wait_to_see("reviewed", seconds=PATIENCE_S)
        before = reviewed(other)
        one.press(b"2")
        until(lambda: picked(folder), one, other)
        until(lambda: reviewed(one) == reviewed(other) != before, one, other)
        other.press(b"1")
        until(lambda: len(picked(folder)) == 2, one, other)
        left(one)
        left(other)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(Behaviour(pieces_per_s=20)) as opened:
        yield opened


@pytest.fixture
def run(tmp_path: Path, server: FakeServer) -> Path:
    return make_run(tmp_path / "run", server.url, seeds=6, source="candidates = 2\nconcurrency = 2")


def command(folder: Path) -> subprocess.Popen[str]:
    call = [*FAQ_TUI, "run", str(folder), "--until", "regenerate"]
    return subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment())


def generating(folder: Path, server: FakeServer) -> Callable[[], object]:
    return lambda: server.stats().asked.total() > 0 and jobs.find_live(folder) is not None


def candidates(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder}/faq.db?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM candidates").fetchone()[0])


def test_an_app_stops_the_command_of_the_shell(run: Path, server: FakeServer) -> None:
    with app_on(run) as shown:
        shown.wait_to_see("Seeds", seconds=PATIENCE_S)
        started = command(run)
        until(generating(run, server), shown)
        until(lambda: "regenerate" in "\n".join(shown.lines()), shown)
        shown.press(b"x")
        until(lambda: started.poll() is not None, shown)
        assert started.stderr is not None
        err = started.stderr.read()
        assert started.returncode == 4 and "Traceback" not in err, err
        # Until the app has seen the end of the job, the key q asks what to do with the job.
        until(lambda: "regenerate: stopped." in shown.lines()[JOBS_LINE], shown)
        left(shown)


def test_an_app_that_leaves_does_not_end_the_job_that_another_one_shows(run: Path, server: FakeServer) -> None:
    with app_on(run) as one, app_on(run) as other:
        one.wait_to_see("Seeds", seconds=PATIENCE_S)
        other.wait_to_see("Seeds", seconds=PATIENCE_S)
        job = jobs.start(run, until="regenerate")
        until(generating(run, server), one, other)
        until(lambda: all("regenerate" in "\n".join(shown.lines()) for shown in (one, other)), one, other)
        one.close_window()
        until(lambda: one.process.poll() is not None, other)
        assert jobs.state(job) == "running"
        other.press(b"q")
        other.wait_to_see("is still running", seconds=PATIENCE_S)
        until(lambda: jobs.state(job) != "running", other)
        assert jobs.state(job) == "done" and candidates(run) == 12
        # The app closes its question, because nothing runs any more. Then q leaves at once.
        other.wait_until(
            lambda seen: "is still running" not in (text := "\n".join(seen)) and "Finished." in text, PATIENCE_S
        )
        left(other)


def test_the_command_ends_and_the_folder_is_deleted_while_an_app_is_open(run: Path, server: FakeServer) -> None:
    with app_on(run) as shown:
        shown.wait_to_see("Seeds", seconds=PATIENCE_S)
        started = command(run)
        until(generating(run, server), shown)
        until(lambda: candidates(run) > 0, shown)
        shutil.rmtree(run, ignore_errors=True)
        until(lambda: started.poll() is not None, shown)
        assert started.stderr is not None
        err = started.stderr.read()
        assert started.returncode == 1 and "Traceback" not in err, err
        until(lambda: jobs.find_live(run) is None, shown)
        left(shown)


def test_an_app_shows_the_job_that_another_one_started(tmp_path: Path, server: FakeServer) -> None:
    target = make_tiny_model(tmp_path / "target")  # the stage regenerate checks its target first
    rest = "candidates = 2\nconcurrency = 2"
    run = make_run(tmp_path / "run", server.url, seeds=6, source=rest, target=str(target))
    with app_on(run) as one, app_on(run) as other:
        for shown in (one, other):
            shown.wait_to_see("Nothing is running", seconds=PATIENCE_S)
        one.press(b"r")
        one.wait_to_see("enter", seconds=PATIENCE_S)
        one.press(b"r")
        until(lambda: all(" of 12 candidates" in shown.lines()[JOBS_LINE] for shown in (one, other)), one, other)
        other.press(b"x")
        until(lambda: jobs.find_live(run) is None, one, other)
        until(lambda: all("regenerate: stopped." in shown.lines()[JOBS_LINE] for shown in (one, other)), one, other)
        left(one)
        left(other)


def test_the_command_ends_while_an_app_is_open(run: Path) -> None:
    with app_on(run) as shown:
        shown.wait_to_see("Nothing is running", seconds=PATIENCE_S)
        started = command(run)
        until(lambda: started.poll() is not None, shown)
        assert started.stderr is not None
        err = started.stderr.read()
        assert started.returncode == 0, err
        shown.wait_to_see("Finished.", seconds=PATIENCE_S)
        assert candidates(run) == 12
        shown.press(b"\x1bOR")  # f3
        shown.wait_to_see("reviewed", seconds=PATIENCE_S)
        left(shown)


def test_an_app_shows_a_job_that_another_one_started_and_that_failed_at_once(run: Path) -> None:
    """The job ends within a second, because nobody has the target, so the other app may never see the job run."""
    with app_on(run) as one, app_on(run) as other:
        for shown in (one, other):
            shown.wait_to_see("Nothing is running", "No seeds loaded", seconds=PATIENCE_S)
        one.press(b"r")
        one.wait_to_see("enter", seconds=PATIENCE_S)
        one.press(b"r")
        until(lambda: all("regenerate failed" in shown.lines()[JOBS_LINE] for shown in (one, other)), one, other)
        until(lambda: all("seed 1 of 6" in "\n".join(shown.lines()) for shown in (one, other)), one, other)
        left(one)
        left(other)
