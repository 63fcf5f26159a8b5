"""The plan of the run in the app: marks on the tabs, what is out of date, and the menu of the key r."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from faq_tui.core.run.events import StageFailed
from faq_tui.core.run.run import Run
from faq_tui.core.run_plan import RunPlan
from faq_tui.tui import plan_watch
from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.plan_watch import PlanWatch
from faq_tui.tui.screens.run_menu import RunMenu
from tests.support.app_host import app_on, text_of, until
from tests.support.plans import STALE
from tests.support.run_of_0ebf15d import copy_of_stored, pick_of_a_person

Snap = Callable[..., bool]


def started_by(app: FaqApp) -> list[tuple[str | None, str | None]]:
    """Collects (only, until) of each job that the app starts."""
    jobs: list[tuple[str | None, str | None]] = []
    app.session.start = lambda only=None, until=None, confirmed=False: jobs.append((only, until))  # type: ignore[method-assign]
    return jobs


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return copy_of_stored(tmp_path / "run")


async def test_another_pick_marks_the_tabs_and_names_the_work(finished: Path) -> None:
    """app.start shows the plan; agreement with the judge changes nothing."""
    app = app_on(finished, plan_watch=PlanWatch)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "3 Judge✓ 4 Spikes✓ 5 Quantize✓ 6 Evidence✓" in text_of(app).splitlines()[1])
        pick_of_a_person(finished, agrees=True)
        app.plan_watch.look()
        await pilot.pause(0.5)
        assert app.plan is not None and not app.plan.stale
        pick_of_a_person(finished, agrees=False)
        await until(pilot, lambda: "3 Judge✓ 4 Spikes! 5 Quantize! 6 Evidence!" in text_of(app).splitlines()[1])
        await until(pilot, lambda: "1 pick changed: assemble to report are out of date. r redoes" in text_of(app))
        started = started_by(app)
        await pilot.press("5", "r")
        assert isinstance(app.screen, RunMenu)
        await until(pilot, lambda: "! quantize     out of date, about" in text_of(app))
        text = text_of(app)
        assert "Run assemble to report, about" in text
        assert "Run up to judge" not in text, "judge is done"
        assert "Run only" not in text, "assemble must run before quantize"
        await pilot.press("escape")
        assert started == []
        await pilot.press("r", "enter")
        assert started == [(None, None)]
        await pilot.press("4", "r")
        assert "Run only assemble" in text_of(app)
        await pilot.press("o")
        assert started == [(None, None), ("assemble", None)]


async def test_the_menu_runs_up_to_judge(folder: Path) -> None:
    app = app_on(folder, plan_watch=PlanWatch)
    async with app.run_test(size=(80, 24)) as pilot:
        started = started_by(app)
        await until(pilot, lambda: app.plan is not None and app.session.phase == "idle")
        assert "Nothing is running. r starts the pipeline" in text_of(app)
        await pilot.press("r")
        await until(pilot, lambda: "Run seeds to report" in text_of(app))
        await pilot.press("j")
        assert started == [(None, "judge")]


async def test_the_menu_shows_the_whole_reason_of_a_failure(folder: Path) -> None:
    app = app_on(folder)
    why = "the server at http://elder:8000/v1 does not serve the model Big-32B [red]; it serves " + "Small-8B, " * 30
    async with app.run_test(size=(80, 40)) as pilot:
        await until(pilot, lambda: app.session.phase == "idle")
        app.session.live.apply(StageFailed("regenerate", why + "and no more", 2), 0.0)
        app.session.outcome = "failed"
        await pilot.press("r")
        await until(pilot, lambda: "regenerate failed: the server at" in text_of(app))
        assert "[red]" in text_of(app) and "and no more" in " ".join(text_of(app).replace("│", " ").split())


async def test_settings_that_are_wrong_leave_the_last_plan_and_start_nothing(folder: Path) -> None:
    app = app_on(folder, plan_watch=PlanWatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.plan is not None)
        before = app.plan
        (folder / "faq.toml").write_text("[target")
        app.plan_watch.look()
        await until(pilot, lambda: app.settings_problem)
        await pilot.pause(0.6)
        assert app.plan == before and before != RunPlan()
        await pilot.press("r")
        await until(pilot, lambda: "is not valid TOML" in app.errors[0] and "press E" in app.errors[0])
        assert len(app.screen_stack) == 1


async def test_a_plan_that_cannot_be_made_is_said_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_on(folder, plan_watch=PlanWatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.plan is not None)

        def fails(_run: Run) -> RunPlan:
            raise ValueError("no plan")

        monkeypatch.setattr(plan_watch, "plan_of", fails)
        app.plan_watch.look()
        await until(pilot, lambda: app.plan == RunPlan())
        await pilot.press("r")
        await until(pilot, lambda: "The plan cannot be made." in text_of(app))


async def test_a_new_plan_changes_what_the_open_menu_offers(folder: Path) -> None:
    """After a job was killed, the stage is found to be unfinished while the menu is open."""
    app = app_on(folder)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Nothing is running" in text_of(app))
        app._show_plan(STALE)
        await pilot.press("r")
        await until(pilot, lambda: "Run assemble to report" in text_of(app))
        done = [replace(stage, state="done") for stage in STALE.stages[:-1]]
        app._show_plan(RunPlan((*done, STALE.stages[-1])))
        await until(pilot, lambda: "Run report" in text_of(app) and "assemble to report" not in text_of(app))
        assert app.focused is not None and app.focused.id == "answer-everything"


def test_a_watch_on_a_folder_that_is_gone_ends(tmp_path: Path) -> None:
    plans: list[Any] = []
    watch = PlanWatch(tmp_path / "gone", plans.append)
    watch._watch()
    assert plans == []


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids="{0[0]}x{0[1]}".format)
def test_snapshot(folder: Path, snap_compare: Snap, size: tuple[int, int], theme: str) -> None:
    async def ask(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, FaqApp)
        await until(pilot, lambda: "Nothing is running" in text_of(app))
        app._show_plan(STALE)
        await until(pilot, lambda: "3 picks changed" in text_of(app))
        await pilot.press("5", "r")
        await until(pilot, lambda: "Run assemble to report" in text_of(app))

    assert snap_compare(app_on(folder, Config(theme=theme)), terminal_size=size, run_before=ask)
