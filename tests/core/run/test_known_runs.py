"""Runs are found below a folder and in the list of opened runs, whatever these hold."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from faq_tui.core.run import known_runs
from faq_tui.core.run.known_runs import find_runs, forget, is_run, opened_before, remember, state_file


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def run_at(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "faq.toml").touch()
    return folder


def test_runs_are_found_two_levels_deep_and_not_inside_runs(tmp_path: Path) -> None:
    here = tmp_path / "here"
    runs = [run_at(here / name) for name in ("b", "a", "x/c", "x/y/too-deep", ".hidden", "a/inside")]
    assert list(find_runs(here)) == [runs[1], runs[0], runs[2]]
    run_at(tmp_path / "other")
    (here / "faq.toml").touch()
    assert next(iter(find_runs(here))) == here, "the folder itself can be a run that holds other runs"


def test_a_run_behind_a_link_is_found_once(tmp_path: Path) -> None:
    here = tmp_path / "here"
    run = run_at(here / "a")
    (here / "b").symlink_to(run)
    (here / "loop").symlink_to(here)
    assert list(find_runs(here)) == [run]


def test_opened_runs_are_remembered_latest_first(tmp_path: Path) -> None:
    one, two = run_at(tmp_path / "one"), run_at(tmp_path / "two")
    for folder in (one, two, one):
        remember(folder)
    assert opened_before() == [one, two]
    assert list(find_runs(tmp_path / "nowhere")) == [one, two]
    forget(one)
    assert opened_before() == [two]
    (two / "faq.toml").unlink()
    assert list(find_runs(tmp_path / "nowhere")) == [], "a folder that is no run any more is not listed"


def test_a_name_that_is_no_text_is_not_remembered(tmp_path: Path) -> None:
    folder = run_at(tmp_path / "ok")
    evil = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    run_at(evil)
    remember(folder)
    remember(evil)
    assert opened_before() == [folder]
    assert list(find_runs(tmp_path)) == [folder, evil], "it is found by its folder"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"runs": 3}', '{"runs": [1, null, "relative", "/a\\u0000b"]}', "[" * 100_000]
)
def test_a_damaged_list_is_empty_and_is_written_anew(tmp_path: Path, content: str) -> None:
    state_file().parent.mkdir(parents=True)
    state_file().write_text(content)
    assert list(find_runs(tmp_path / "nowhere")) == []
    run = run_at(tmp_path / "run")
    remember(run)
    assert json.loads(state_file().read_text())["runs"][0] == str(run)


def test_without_a_state_folder_nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file" / "below"))
    run = run_at(tmp_path / "run")
    remember(run)
    forget(run)
    assert opened_before() == []


def test_the_search_ends_after_many_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        run_at(tmp_path / "here" / str(number))
    monkeypatch.setattr(known_runs, "MOST_FOLDERS", 4)
    assert len(list(find_runs(tmp_path / "here"))) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_permission_is_left_out(tmp_path: Path) -> None:
    locked = run_at(tmp_path / "here" / "locked")
    locked.chmod(0)
    assert not is_run(locked)
    assert list(find_runs(tmp_path / "here")) == []
    locked.chmod(0o700)
