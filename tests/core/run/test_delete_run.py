"""The deletion of a run removes what faq-tui wrote, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest import mock

import pytest

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.run.delete_run import delete_run, disk_bytes, plan_deletion
from faq_tui.core.run.run import locked_folder, open_run
from tests.support.shell import make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "run")
    with open_run(folder):
        pass
    model = folder / "models" / "gptq-w4g64-self"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(os.urandom(200_000))
    return folder


def test_a_run_is_deleted_and_other_files_stay(run: Path) -> None:
    plan = plan_deletion(run)
    assert plan.kept == ("seeds.jsonl",) and 200_000 < plan.size < 2_000_000
    delete_run(run)
    assert [path.name for path in run.iterdir()] == ["seeds.jsonl"]


def test_a_folder_with_nothing_else_is_removed(run: Path) -> None:
    (run / "seeds.jsonl").unlink()
    assert plan_deletion(run).kept == ()
    delete_run(run)
    assert not run.exists()


def test_links_are_removed_and_not_followed(run: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_bytes(os.urandom(900_000))
    (run / "models" / "link").symlink_to(precious)
    (run / "reports").symlink_to(precious)
    assert plan_deletion(run).size < 900_000, "what a link points to does not become free"
    delete_run(run)
    assert (precious / "file").exists() and not (run / "models").exists() and not (run / "reports").is_symlink()


def test_a_link_to_a_run_deletes_the_run_and_leaves_no_other(run: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(run)
    assert plan_deletion(link).folder == run


@pytest.mark.parametrize("missing", ["faq.toml", "faq.db"])
def test_a_folder_that_is_no_run_is_refused(run: Path, missing: str) -> None:
    (run / missing).unlink()
    for refused in (plan_deletion, delete_run):
        with pytest.raises(UsageError, match=f"{run} holds no {missing}, so faq-tui does not delete it"):
            refused(run)
    assert (run / "models").exists()


def test_a_run_with_a_job_is_refused(run: Path) -> None:
    with locked_folder(run, "job"):
        for refused in (plan_deletion, delete_run):
            with pytest.raises(FaqError, match=r"another faq-tui .* is working on"):
                refused(run)
    assert (run / "models").exists()


@pytest.mark.parametrize("key", ["target", "source"])
def test_a_run_that_reads_its_own_folders_is_refused(run: Path, key: str) -> None:
    """A person may have put the target into `models/` of the run."""
    text = (run / "faq.toml").read_text()
    change = {
        "target": ('model = "nobody/knows-it"', 'model = "models/gptq-w4g64-self"'),
        "source": ('model = "fake-8b"', 'model = "fake-8b"\nfiles = "models/gptq-w4g64-self"'),
    }
    (run / "faq.toml").write_text(text.replace(*change[key]))
    with pytest.raises(UsageError, match="which the deletion would remove: move it out"):
        plan_deletion(run)


def test_a_damaged_run_can_be_deleted(run: Path) -> None:
    (run / "faq.toml").write_text("[target\n")
    (run / "faq.db").write_bytes(b"garbage")
    delete_run(run)
    assert not (run / "faq.toml").exists()


def test_a_failure_leaves_a_run_that_can_be_deleted_again(run: Path) -> None:
    def fail(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with mock.patch.object(shutil, "rmtree", fail), pytest.raises(FaqError, match="a part of the run is still there"):
        delete_run(run)
    assert (run / "faq.toml").exists() and (run / "faq.db").exists()
    delete_run(run)
    assert not (run / "models").exists()


def test_a_file_with_two_names_takes_its_space_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(os.urandom(500_000))
    alone = disk_bytes(tmp_path / "a")
    os.link(tmp_path / "a" / "one", tmp_path / "a" / "two")
    assert disk_bytes(tmp_path / "a") == pytest.approx(alone, abs=8192)
    assert disk_bytes(tmp_path / "nowhere") == 0
