"""The plan of the next job: what is done, what is out of date, and how long it took."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.run.run import open_run
from faq_tui.core.run_plan import RunPlan, plan_of
from faq_tui.core.stages.pipeline import all_stages
from tests.support.plans import NAMES
from tests.support.run_of_0ebf15d import copy_of_stored, pick_of_a_person
from tests.support.shell import make_run


def planned(folder: Path) -> RunPlan:
    with open_run(folder) as run:
        return plan_of(run)


def test_the_plan_of_a_finished_run_and_of_one_with_another_pick(tmp_path: Path) -> None:
    finished = copy_of_stored(tmp_path / "run")
    plan = planned(finished)
    assert [stage.name for stage in plan.stages] == list(NAMES) == [stage.name for stage in all_stages()]
    assert not plan.due and not plan.stale and plan.changed_picks == 0
    pick_of_a_person(finished, agrees=True)
    assert planned(finished) == plan
    pick_of_a_person(finished, agrees=False)
    plan = planned(finished)
    assert [stage.name for stage in plan.stale] == list(NAMES[3:]) and plan.changed_picks == 1
    assert plan.until("judge") == () and len(plan.until("assemble")) == 1
    assert plan.can_run_alone("assemble") and not plan.can_run_alone("quantize")
    assert all(stage.seconds is not None for stage in plan.due)


def test_the_plan_of_a_fresh_run(tmp_path: Path) -> None:
    plan = planned(make_run(tmp_path / "run"))
    assert {stage.state for stage in plan.stages} == {"missing"} and not plan.stale
    assert all(stage.seconds is None for stage in plan.stages)
