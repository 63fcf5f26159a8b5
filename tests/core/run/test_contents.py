"""A run's folder that holds something else than files and folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode, UsageError
from faq_tui.core.evaluation.environment import read_environment
from faq_tui.core.quantizing.output import read_manifest
from faq_tui.core.run.job_record import read_job
from faq_tui.core.run.run import open_to_look
from faq_tui.core.run_summary import summarise
from faq_tui.core.settings import load_settings
from tests.support.shell import faq_tui_process, make_run, sentence

PLACES = ("faq.toml", "faq.db", ".lock", "reports/evaluation.json", "models/m/faq_manifest.json", "jobs/j/job.json")


@pytest.mark.parametrize("place", PLACES)
def test_a_pipe_does_not_block(tmp_path: Path, place: str) -> None:
    path = make_run(tmp_path / "run") / place
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    result = faq_tui_process("status", tmp_path / "run", timeout=30)
    assert result.code == ExitCode.USAGE
    assert sentence(result.err) == (
        f"{path} is a pipe, a device or a socket, but a run has only files and folders: move it away"
    )
    assert summarise(tmp_path / "run").state == "broken", "the list of all runs does not block either"


def test_settings_that_are_a_pipe_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "faq.toml")
    with pytest.raises(UsageError, match="is a pipe or a device, but must be a file"):
        load_settings(tmp_path / "faq.toml")


def test_a_device_does_not_fill_the_memory(tmp_path: Path) -> None:
    settings = make_run(tmp_path / "run") / "faq.toml"
    settings.unlink()
    settings.symlink_to("/dev/zero")
    result = faq_tui_process("status", tmp_path / "run", timeout=30)
    assert result.code == ExitCode.USAGE and sentence(result.err).startswith(f"{settings} is a pipe, a device")


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "reports").write_text("")
    result = faq_tui_process("run", run, "--only", "seeds")
    assert result.code == ExitCode.USAGE
    assert (
        sentence(result.err) == f"{run / 'reports'} is not a folder: move it away, and faq-tui makes the folder again"
    )


def test_links_to_files_and_folders_are_allowed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    (run / "reports").symlink_to(tmp_path / "elsewhere")
    (run / "nowhere").symlink_to("nothing")
    (run / "faq.toml").rename(tmp_path / "real.toml")
    (run / "faq.toml").symlink_to(tmp_path / "real.toml")
    assert faq_tui_process("run", run, "--only", "seeds").code == ExitCode.DONE


@pytest.mark.parametrize("text", ["[" * 200_000, "[]", "7", "9" * 5_000, "{"])
def test_stored_json_that_is_damaged_counts_as_missing(tmp_path: Path, text: str) -> None:
    """The first text is nested too deeply for Python's parser."""
    folder = make_run(tmp_path / "run")
    record = folder / "models" / "m" / "faq_manifest.json"
    for path in (record, folder / "reports" / "evaluation.json", folder / "jobs" / "j" / "job.json"):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert read_manifest(record.parent) is None
    assert read_job(folder / "jobs" / "j") is None
    with open_to_look(folder) as run:
        assert read_environment(run) == {}
    assert faq_tui_process("status", folder).code == ExitCode.DONE
