"""The plan of the run in the app: marks on the tabs, what is out of date, and the menu of the key r."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from faq_tui.core.overrides import pick
from faq_tui.core.run.events import StageFailed, StageStarted
from faq_tui.core.run.run import open_run
from faq_tui.core.run_plan import PlannedStage, RunPlan, plan_of
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.jobs_line import describe
from faq_tui.tui.plan_watch import PlanWatch
from faq_tui.tui.screens.run_menu import RunMenu
from faq_tui.tui.session import Session
from faq_tui.tui.stage_marks import marks_of_panes, plan_in_lines, stale_in_words, strip
from tests.support.app_host import app_on, text_of, until
from tests.support.run_of_0ebf15d import copy_of_stored

NAMES = ("seeds", "regenerate", "judge", "assemble", "activations", "quantize", "evaluate", "report")
Snap = Callable[..., bool]


def made_up_plan(*states: str, seconds: float | None = 60.0, changed: int = 0) -> RunPlan:
    every = [*states, *["missing"] * (len(NAMES) - len(states))]
    return RunPlan(tuple(PlannedStage(*pair, seconds) for pair in zip(NAMES, every, strict=True)), changed)


STALE = made_up_plan(*["done"] * 3, *["stale"] * 5, changed=3)


def started_by(app: FaqApp) -> list[tuple[str | None, str | None]]:
    """Collects (only, until) of each job that the app starts."""
    jobs: list[tuple[str | None, str | None]] = []
    app.session.start = lambda only=None, until=None, confirmed=False: jobs.append((only, until))  # type: ignore[method-assign]
    return jobs


# ---- the plan


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return copy_of_stored(tmp_path / "run")


def a_pick(folder: Path, agrees: bool) -> None:
    """A person picks what the judge picked for a seed, or another candidate."""
    with open_run(folder) as run:
        name = next(iter(run.settings.sources))
        query = (
            "SELECT p.seed_id, c.number = k.number AS same, c.number FROM picks p"
            " JOIN candidates k ON k.id = p.candidate_id JOIN candidates c ON c.seed_id = p.seed_id"
            " AND c.generation = k.generation AND c.flags = '[]' WHERE p.picked_by = 'judge' AND p.source = ?"
            " AND NOT EXISTS (SELECT 1 FROM picks o WHERE o.seed_id = p.seed_id AND o.picked_by = 'person')"
            " ORDER BY p.id"
        )
        rows = run.store.db.execute(query, (name,)).fetchall()
        seed_id, _, number = next(row for row in rows if bool(row["same"]) is agrees)
        pick(run, seed_id, name, number, "")


def planned(folder: Path) -> RunPlan:
    with open_run(folder) as run:
        return plan_of(run)


def test_the_plan_of_a_finished_run_and_of_one_with_another_pick(finished: Path) -> None:
    plan = planned(finished)
    assert [stage.name for stage in plan.stages] == list(NAMES) == [stage.name for stage in all_stages()]
    assert not plan.due and not plan.stale and plan.changed_picks == 0
    a_pick(finished, agrees=True)
    assert planned(finished) == plan
    a_pick(finished, agrees=False)
    plan = planned(finished)
    assert [stage.name for stage in plan.stale] == list(NAMES[3:]) and plan.changed_picks == 1
    assert plan.until("judge") == () and len(plan.until("assemble")) == 1
    assert plan.can_run_alone("assemble") and not plan.can_run_alone("quantize")
    assert all(stage.seconds is not None for stage in plan.due)


def test_the_plan_of_a_fresh_run(folder: Path) -> None:
    plan = planned(folder)
    assert {stage.state for stage in plan.stages} == {"missing"} and not plan.stale
    assert all(stage.seconds is None for stage in plan.stages)


# ---- words and marks


def test_marks_of_the_panes() -> None:
    marks = marks_of_panes(made_up_plan("done", "running", "stale", "done", "missing", "failed", "stopped"))
    assert {scope: sign for scope, (sign, _) in marks.items()} == {
        "seeds": "✓", "regenerate": "●", "judge": "!", "spikes": " ", "quantize": "✗", "evidence": "…"
    }  # fmt: skip


def test_what_is_out_of_date_is_one_sentence() -> None:
    words = stale_in_words(STALE, "r", 100)
    assert words is not None
    assert words.plain == "3 picks changed: assemble to report are out of date. r redoes about 5:00 of work."
    words = stale_in_words(STALE, "r", 78)
    assert words is not None
    assert words.plain == "3 picks changed: 5 stages are out of date. r redoes about 5:00 of work."
    one = made_up_plan(*["done"] * 7, "stale", seconds=None, changed=1)
    words = stale_in_words(one, "r", 100)
    assert words is not None and words.plain == "1 pick changed: report is out of date. r shows the plan."
    assert stale_in_words(made_up_plan("done"), "r", 100) is None


def test_the_line_of_jobs_has_the_stages_where_there_is_room() -> None:
    session = Session(Path("nowhere"), print)
    session.phase = "idle"
    narrow, wide = (describe(session, 0.0, ("r", "x"), width, STALE).plain for width in (80, 200))
    assert narrow == "3 picks changed: 5 stages are out of date. r redoes about 5:00 of work."
    assert wide.endswith(strip(STALE).plain) and len(wide) == 200
    assert strip(STALE).plain.startswith("✓ seeds  ✓ regenerate  ✓ judge  ! assemble")


def test_the_line_of_a_running_stage_has_its_place() -> None:
    session = Session(Path("nowhere"), print)
    session.phase = "running"
    session.live.apply(StageStarted("quantize", None, "models"), 0.0)
    assert describe(session, 0.0, ("r", "x"), 80, STALE).plain.startswith("6/8 quantize")


def test_the_lines_of_the_plan() -> None:
    lines = plan_in_lines(made_up_plan("done", "stale", seconds=61.0)).plain.splitlines()
    assert lines[0] == "✓ seeds        done"
    assert lines[1] == "! regenerate   out of date, about 1:01"
    assert lines[2] == "  judge        to do, about 1:01"


# ---- in the app


async def test_another_pick_marks_the_tabs_and_names_the_work(finished: Path) -> None:
    """app.start shows the plan; agreement with the judge changes nothing."""
    app = app_on(finished, plan_watch=PlanWatch)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "3 Judge✓ 4 Spikes✓ 5 Quantize✓ 6 Evidence✓" in text_of(app).splitlines()[1])
        a_pick(finished, agrees=True)
        app.plan_watch.look()
        await pilot.pause(0.5)
        assert app.plan is not None and not app.plan.stale
        a_pick(finished, agrees=False)
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


async def test_settings_that_are_wrong_are_no_plan(folder: Path) -> None:
    app = app_on(folder, plan_watch=PlanWatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.plan is not None)
        (folder / "faq.toml").write_text("[target")
        await until(pilot, lambda: app.plan == RunPlan())
        await pilot.press("r")
        await until(pilot, lambda: "The settings in faq.toml cannot be read." in text_of(app))


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
