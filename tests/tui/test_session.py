"""Jobs seen through the app: real child processes, a made-up server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core import jobs
from faq_tui.tui.app import FaqApp
from faq_tui.tui.pane import Pane
from faq_tui.tui.screens.choice import ChoiceScreen
from faq_tui.tui.session import Session
from tests.support.app_host import app_on, said, text_of, until
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import make_run, stored
from tests.support.tiny import make_tiny_model

SIZE = (80, 24)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Path]:
    """A run whose regeneration would take half a minute."""
    with FakeServer(Behaviour(pieces_per_s=10)) as server:
        target = make_tiny_model(tmp_path / "target")  # a run looks at its target before it asks for anything
        folder = make_run(tmp_path / "slow", server.url, seeds=40, source="concurrency = 8", target=str(target))
        yield folder
        job = jobs.find_live(folder)
        if job is not None:
            jobs.kill(job)
            while jobs.state(job) == "running":
                time.sleep(0.02)


def jobs_line(app: FaqApp) -> str:
    return text_of(app).splitlines()[2]


@pytest.mark.slow
async def test_a_job_is_started_left_found_again_and_stopped(slow: Path) -> None:
    """app.start, app.quit, app.stop"""
    app = app_on(slow)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nothing is running. r starts" in jobs_line(app))
        await pilot.press("r", "r")
        await until(pilot, lambda: " of 120 candidates" in jobs_line(app) and "regenerate" in jobs_line(app))
        await pilot.press("r")
        assert "a job is already running" in said(app)[-1]
        await pilot.press("q")
        assert "regenerate is still running." in text_of(app) and isinstance(app.screen, ChoiceScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, ChoiceScreen) and not app._exit
        await pilot.press("q")
        began = time.monotonic()
        await pilot.press("l")
    assert time.monotonic() - began < 1, "quit is quick"
    assert "the job keeps running" in app.farewell
    job = jobs.find_live(slow)
    assert job is not None, "it outlives the app"

    app = app_on(slow)
    async with app.run_test(size=SIZE) as pilot:
        began = time.monotonic()
        await until(pilot, lambda: app.session.phase == "running" and " of 120 candidates" in jobs_line(app))
        assert time.monotonic() - began < 2 and app.session.job == job
        assert app.session.live.when("evaluate") == "it comes later in the running job"
        await pilot.press("x")
        await until(pilot, lambda: "Stopping" in jobs_line(app) or app.session.outcome == "stopped")
        await until(pilot, lambda: "regenerate: stopped. Finished work is kept; r resumes it." in jobs_line(app))
        assert app.session.live.when("evaluate") == "r starts it"
    assert jobs.state(job) == "stopped"


@pytest.mark.slow
async def test_two_apps_on_one_run_the_second_watches(slow: Path) -> None:
    first, second = app_on(slow), app_on(slow)
    async with first.run_test(size=SIZE) as pilot, second.run_test(size=SIZE) as watching:
        await until(watching, lambda: second.session.phase == "idle")
        first.session.start(None, "regenerate")
        await until(pilot, lambda: first.session.phase == "running")
        await until(watching, lambda: second.session.phase == "running")
        assert second.session.job == first.session.job
        second.session.phase = "idle"  # as if it had not seen it yet: two starts at once, one is told
        await watching.press("r", "r")
        await until(watching, lambda: any("is working on" in sentence for sentence in said(second)))


@pytest.mark.slow
async def test_a_killed_job_is_said_so_and_r_resumes_it(slow: Path) -> None:
    app = app_on(slow)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.session.phase == "idle")
        app.post_message(Pane.StartJob(until="regenerate"))
        await until(pilot, lambda: len(stored(slow)) >= 8 if (slow / "faq.db").exists() else False)
        assert app.session.job is not None
        os.kill(app.session.job.pid, signal.SIGKILL)
        await until(pilot, lambda: "regenerate: the job was killed." in jobs_line(app))
        assert "r resumes it" in jobs_line(app)
        stage = app.session.live.stage
        assert stage is not None and stage.state == "failed" and not app.session.live.growing, (
            "nothing grows any more"
        )
        kept = stored(slow)
        await pilot.press("r", "enter")
        await until(pilot, lambda: app.session.phase == "running" and len(stored(slow)) > len(kept))
        assert kept <= stored(slow)
    again = app_on(slow)
    async with again.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: again.session.phase == "running")
        assert again.session.job is not None
        os.kill(again.session.job.pid, signal.SIGKILL)
        await until(pilot, lambda: again.session.outcome == "killed")
    opened_later = app_on(slow)
    async with opened_later.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "the job was killed" in jobs_line(opened_later))


async def test_a_job_that_does_not_stop_can_be_ended(slow: Path) -> None:
    app = app_on(slow)
    async with app.run_test(size=SIZE) as pilot:
        app.session.start(None, "regenerate")
        await until(pilot, lambda: app.session.phase == "running" and app.session.job)
        job = app.session.job
        assert job is not None
        os.kill(job.pid, signal.SIGSTOP)
        await pilot.press("x")
        await until(pilot, lambda: "press x again to end it at once" in jobs_line(app))
        await pilot.press("x")
        assert "will stop at its next" in text_of(app)
        await pilot.press("e")
        await until(pilot, lambda: app.session.outcome == "killed")


async def test_stop_and_leave(slow: Path) -> None:
    app = app_on(slow)
    async with app.run_test(size=SIZE) as pilot:
        app.session.start(None, "regenerate")
        await until(pilot, lambda: app.session.phase == "running" and app.session.job)
        job = app.session.job
        await pilot.press("q", "s")
    assert job is not None and "the job will stop" in app.farewell
    deadline = time.monotonic() + 20
    while jobs.state(job) == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert jobs.state(job) == "stopped"


@pytest.mark.slow
async def test_a_stage_that_fails_says_why(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "refused", "http://127.0.0.1:9/v1", source="retries = 0")
    app = app_on(folder)
    async with app.run_test(size=(200, 24)) as pilot:
        app.session.start(None, "regenerate")
        await until(pilot, lambda: app.session.outcome == "failed")
        await until(pilot, lambda: "regenerate failed. r tries again." in jobs_line(app))
        assert "127.0.0.1:9" in jobs_line(app)


def test_one_turn_takes_a_slice_of_what_came() -> None:
    from faq_tui.core.run.events import Event, Note

    class Flood:
        failure = ""
        events: list[tuple[Event, float]] = [(Note("line"), 1.0)] * 300_000

        @property
        def ended(self) -> bool:
            return not self.events

        def drain_timed(self) -> list[tuple[Event, float]]:
            found, self.events = self.events, []
            return found

        def close(self) -> None: ...

    session = Session(Path("nowhere"), print)
    session.play(Flood())
    turns: list[float] = []
    while session.waiting or not turns:
        began = time.monotonic()
        session.pump()
        turns.append(time.monotonic() - began)
    assert len(turns) > 3 and sorted(turns)[len(turns) // 2] < 0.25  # the median: a busy machine may hold up one turn
    assert session.live.version >= 300_000
