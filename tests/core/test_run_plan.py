"""The plan of the next job: what is done, what is out of date, and how long it took."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.artefact_queue import queue_of
from faq_tui.core.run.run import open_run
from faq_tui.core.run_plan import Effect, RunPlan, effect_of, plan_of
from faq_tui.core.settings.change import Change, changed_text, value_at, with_changes
from faq_tui.core.settings.load import check_values, parse_toml
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


def test_what_other_settings_make_stale(tmp_path: Path) -> None:
    folder = copy_of_stored(tmp_path / "run")

    def effect(text: str, table: tuple[str | int, ...], *inner: str, value: object) -> Effect:
        with open_run(folder) as run:
            raw = with_changes(parse_toml(text), [Change(table, inner, value)])
            settings, problems = check_values(raw, folder)
            assert settings is not None, problems
            return effect_of(run, settings)

    text = (folder / "faq.toml").read_text()
    assert effect(text, ("judge",), "patience_s", value=5.0) == Effect()
    assert effect(text, ("quantize",), "checkpoint_s", value=5.0).stale == ("report",)
    later = effect(text, ("evaluate",), "window", value=123)
    assert later.stale == ("evaluate", "report") and later.artefacts == 0 and later.seconds is not None
    everything = effect(text, ("seeds",), "sample_seed", value=9)
    with open_run(folder) as run:
        made = sum(queued.state == "done" for queued in queue_of(run))
    assert made > 0
    assert everything.stale == NAMES and everything.artefacts == made
    recipe = effect(text, ("recipes", 0), "damp_percent", value=0.07)
    assert recipe.stale == ("quantize", "evaluate", "report") and 0 < recipe.artefacts < made
    # Back to the settings of the finished run.
    changed = changed_text(text, [Change(("evaluate",), ("window",), 123)])
    before = value_at(parse_toml(text), ("evaluate", "window"))
    (folder / "faq.toml").write_text(changed)
    assert effect(changed, ("evaluate",), "window", value=before).current == ("evaluate", "report")
