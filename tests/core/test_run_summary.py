"""What one line says about a run in each of its states."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from faq_tui.core.run.run import locked_folder, open_run
from faq_tui.core.run_summary import RunSummary, age, size_in_words, stale_stages, summarise, with_disk
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.stages.report import COMPARED
from faq_tui.core.store import stages
from tests.support.shell import make_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def ran(folder: Path, until: str, state: str = "done", message: str = "fine") -> None:
    """Record that all stages up to `until` are done, and that `until` ended with `state`."""
    with open_run(folder) as run:
        for stage in all_stages():
            stages.begin(run.store, stage.name, "signature", "job")
            last = stage.name == until
            if not (last and state == "running"):
                stages.end(run.store, stage.name, state if last else "done", message)
            if last:
                return


def facts(folder: Path) -> tuple[str, str, str]:
    summary = summarise(folder)
    return summary.state, summary.stage, summary.verdict


def test_a_run_from_its_settings_to_its_report(folder: Path) -> None:
    assert facts(folder) == ("new", "", "") and summarise(folder).target == "nobody/knows-it"
    ran(folder, "judge", "running")
    assert facts(folder) == ("interrupted", "judge", "")
    ran(folder, "judge", "failed", "the elder is gone")
    assert facts(folder) == ("failed", "judge", "") and summarise(folder).message == "the elder is gone"
    ran(folder, "judge", "stopped")
    assert facts(folder) == ("stopped", "judge", "")
    ran(folder, "judge")
    assert facts(folder) == ("partly", "judge", "")
    ran(folder, "report", message=f"{COMPARED}2 better, 0 worse, 1 within noise")
    assert facts(folder) == ("done", "report", "2 better, 1 within noise")
    ran(folder, "report", message=f"{COMPARED}0 better, 0 worse, 3 within noise")
    assert facts(folder) == ("done", "report", "no visible difference")
    ran(folder, "report", message="nothing to compare")
    assert facts(folder) == ("done", "report", "")
    with locked_folder(folder, "job"):
        assert facts(folder) == ("running", "report", "")


def test_the_last_change_is_that_of_a_stage_or_of_the_settings(folder: Path) -> None:
    os.utime(folder / "faq.toml", (1000, 1000))
    assert summarise(folder).changed == 1000
    ran(folder, "seeds")
    assert summarise(folder).changed == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("damage", [b"garbage" * 1000, b""])
def test_a_damaged_database_is_one_sentence(folder: Path, damage: bytes) -> None:
    (folder / "faq.db").write_bytes(damage)
    summary = summarise(folder)
    assert summary.state == "broken" and "is not a database that faq-tui can read" in summary.message
    assert "\n" not in summary.message


def test_wrong_types_in_the_database_are_one_sentence(folder: Path) -> None:
    ran(folder, "seeds")
    with open_run(folder) as run, run.store.writing() as db:
        db.execute("UPDATE stages SET started = 'yesterday'")
    assert summarise(folder).state == "broken"


def test_damaged_settings_are_one_sentence(folder: Path) -> None:
    (folder / "faq.toml").write_text("[target\n")
    summary = summarise(folder)
    assert summary.state == "broken" and "is not valid TOML" in summary.message
    (folder / "faq.toml").unlink()
    assert "no settings at" in summarise(folder).message


def test_reading_changes_nothing(folder: Path) -> None:
    ran(folder, "judge")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir() if "-" not in path.name)
    summarise(folder)
    after = sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir() if "-" not in path.name)
    assert before == after


def test_stale_stages_are_named(folder: Path) -> None:
    ran(folder, "seeds")
    assert stale_stages(folder) == ["seeds"]


def test_the_disk_is_counted_on_request(folder: Path) -> None:
    assert summarise(folder).disk is None
    (folder / "model").write_bytes(b"x" * 100_000)
    assert (with_disk(RunSummary(folder, "new")).disk or 0) >= 100_000


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "now"), (-5, "now"), (600, "10 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_ages(seconds: float, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(None, ""), (12, "12 B"), (8200, "8.2 kB"), (34_000_000, "34 MB"), (4_200_000_000, "4.2 GB")]
)
def test_sizes(count: int | None, words: str) -> None:
    assert size_in_words(count) == words
