"""Files and folders of a run can be read only by their owner, whatever the umask is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import atomic_text, private_folder
from faq_tui.core.run.run import locked, open_run
from tests.support.shell import make_run


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_folders_are_private_and_old_ones_stay(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(0o775)
    private_folder(shared / "jobs" / "1")
    assert [mode(p) for p in (shared, shared / "jobs", shared / "jobs" / "1")] == [0o775, 0o700, 0o700]


def test_a_folder_in_the_place_of_a_file_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    with pytest.raises(FaqError, match=r"text is a folder, .*: rename or remove the folder"), atomic_text(folder):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == [folder]
    run = make_run(tmp_path / "run")
    (run / ".lock").mkdir()
    with open_run(run) as opened, pytest.raises(FaqError, match=r"\.lock is a folder"), locked(opened):
        pass


def test_a_new_text_is_private_and_a_replaced_one_keeps_its_permissions(tmp_path: Path) -> None:
    for expected in (0o600, 0o640):
        path = tmp_path / "text"
        with atomic_text(path) as file:
            file.write("x")
        assert mode(path) == expected
        path.chmod(0o640)


def test_the_database_and_the_lock_are_private(tmp_path: Path) -> None:
    with open_run(make_run(tmp_path)) as run, locked(run):
        with run.store.writing() as db:
            db.execute("CREATE TABLE t (x)")
        found = {path.name: mode(path) for path in tmp_path.iterdir() if path.name.startswith((".lock", "faq.db"))}
    assert found == dict.fromkeys((".lock", "faq.db", "faq.db-wal", "faq.db-shm"), 0o600)


def test_the_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    dead, alive, other = (
        tmp_path / f".{name}.half" for name in ("text.99999999", f"text.{os.getppid()}", "more.99999999")
    )
    for half in (dead, alive, other):
        half.touch()
    with atomic_text(tmp_path / "text") as file:
        file.write("x")
    assert sorted(tmp_path.iterdir()) == sorted([alive, other, tmp_path / "text"])
