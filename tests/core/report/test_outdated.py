"""What the report says where the settings have changed since the measurement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faq_tui.core.report.formats import render
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.status import changed_stage
from faq_tui.core.store import stages as stage_rows
from faq_tui.core.store.measurements import all_measurements
from tests.support.made_up import TOML, made_up_run, measure_all
from tests.support.shell import faq_tui

KLS = {"baseline": 0.30, "elder": 0.20}


def evaluated(run: Run, state: str = "done") -> None:
    """As if the stage evaluate had been started, and come to `state`, with the present settings."""
    stage = next(stage for stage in all_stages() if stage.name == "evaluate")
    stage_rows.begin(run.store, stage.name, stage.signature(run), "job")
    if state != "running":
        stage_rows.end(run.store, stage.name, state)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("", None),
        ("bootstrap = 200", None),  # counted anew each time
        ("window = 96", "have changed since these figures were measured"),
    ],
)
def test_figures_of_other_settings_are_said_to_be(tmp_path: Path, change: str, said: str | None) -> None:
    with made_up_run(tmp_path, TOML.replace("bootstrap = 400", "")) as run:
        measure_all(run, KLS)
        evaluated(run)
        longest = max(all_measurements(run.store)["unquantized", "pydoc"].items["tokens"])
    (tmp_path / "faq.toml").write_text(TOML.replace("bootstrap = 400", change))
    with open_run(tmp_path) as run:
        text, body, page = render(run, "md"), json.loads(render(run, "json")), render(run, "html")
    windows = {found["name"]: found["window"] for found in body["texts"]}
    assert windows == {"pydoc": longest + 1, "answers": None}, "as it was measured"
    if said is None:
        assert body["outdated"] is None and "Out of date" not in text
    else:
        assert said in body["outdated"] and said in page
        assert text.index("**Out of date**: The settings") < text.index("In short")


def test_a_change_of_an_earlier_stage_is_said_too(tmp_path: Path) -> None:
    """The sets, and so the models, are those of the earlier settings."""
    with made_up_run(tmp_path) as run:
        measure_all(run, KLS)
        assemble = next(stage for stage in all_stages() if stage.name == "assemble")
        stage_rows.begin(run.store, assemble.name, assemble.signature(run), "job")
        stage_rows.end(run.store, assemble.name, "done")
        evaluated(run)
        # The files of the sets are missing, but the figures are those of the present settings.
        assert changed_stage(run) is None and "Out of date" not in faq_tui("report", tmp_path).out
    (tmp_path / "faq.toml").write_text(TOML + "[assemble]\nmax_tokens = 99\n")
    with open_run(tmp_path) as run:
        assert changed_stage(run) == "assemble"
    said = (
        "The settings or inputs of the stage assemble have changed since these figures were measured: run the stages"
    )
    assert f"> **Out of date**: {said} again." in faq_tui("report", tmp_path).out


@pytest.mark.parametrize("state", ["running", "stopped", "failed"])
def test_an_evaluation_that_is_not_finished_is_said_to_be(tmp_path: Path, state: str) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, KLS)
        evaluated(run, state)
        assert "The stage evaluate is not finished" in render(run, "md")
