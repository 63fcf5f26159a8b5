"""The lock of a run folder: a look at it refuses nobody, and its owner is alive."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode, UsageError
from faq_tui.core.run.run import Owner, lock_owner, locked, open_run
from tests.support.shell import faq_tui, make_run, refused


def test_a_look_at_the_lock_never_refuses_its_taker(tmp_path: Path) -> None:
    make_run(tmp_path)
    enough = threading.Event()

    def look() -> None:
        while not enough.is_set():
            lock_owner(tmp_path)

    lookers = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    with open_run(tmp_path) as run:
        with locked(run):
            pass
        for looker in lookers:
            looker.start()
        try:
            for _ in range(100):
                with locked(run):
                    pass
        finally:
            enough.set()
    assert lock_owner(tmp_path) is None


def test_the_owner_is_never_one_that_was_killed(tmp_path: Path) -> None:
    """The lock is taken a moment before its new owner has written into it."""
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    with (tmp_path / ".lock").open("w+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for before in ("", f"{dead.pid} old"):
            (tmp_path / ".lock").write_text(before)
            writing = threading.Timer(0.1, (tmp_path / ".lock").write_text, [f"{os.getpid()} new"])
            writing.start()
            assert lock_owner(tmp_path) == Owner(os.getpid(), "new")
            writing.join()
    assert lock_owner(tmp_path) is None


LONG = "x" * 300
NO_PATHS = {
    "an unknown user": ("~nosuch_user_here/x", "Could not determine home directory"),
    "an unknown user alone": ("~nosuch_user_here", "Could not determine home directory"),
    "a long name": (f"./{LONG}/y", "File name too long"),
    "a long path": ("d/" * 3000, "File name too long"),
}


@pytest.mark.parametrize(
    ("key", "old", "commands"),
    [
        ("target.model", "nobody/knows-it", ("status", "doctor", "run")),
        ("seeds.path", "seeds.jsonl", ("run",)),
    ],
)
@pytest.mark.parametrize("fault", NO_PATHS)
def test_a_setting_that_is_no_path_is_named(
    tmp_path: Path, key: str, old: str, commands: tuple[str, ...], fault: str
) -> None:
    text, reason = NO_PATHS[fault]
    make_run(tmp_path)
    path = tmp_path / "faq.toml"
    path.write_text(path.read_text().replace(f'"{old}"', f'"{text}"'))
    for command in commands:
        result = faq_tui(command, tmp_path)
        assert result.code != 0, (command, result)
        words = result.out + result.err
        assert f"{key} in faq.toml cannot be used: " in words and reason in words, (command, words)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ('[evaluate]\nperplexity = ["~nosuch_user_here"]', "evaluate.perplexity"),
        ('[evaluate.evalscope]\npython = "~nosuch_user_here"', "evaluate.evalscope.python"),
    ],
)
def test_the_key_of_a_text_that_is_no_path(tmp_path: Path, section: str, key: str) -> None:
    make_run(tmp_path, rest=section)
    with open_run(tmp_path) as run:
        for full in (run.resolve, run.absolute):
            with pytest.raises(UsageError, match=f"^{key} in faq.toml cannot be used"):
                full("~nosuch_user_here")


@pytest.mark.parametrize("key", ["target.model", "seeds.path", "sources.elder.model", "evaluate.perplexity[1]"])
def test_a_setting_with_nul_is_named(tmp_path: Path, key: str) -> None:
    make_run(tmp_path, rest='[evaluate]\nperplexity = ["pydoc"]')
    path = tmp_path / "faq.toml"
    old = {
        "target.model": "nobody/knows-it",
        "seeds.path": "seeds.jsonl",
        "sources.elder.model": "fake-8b",
        "evaluate.perplexity[1]": "pydoc",
    }[key]
    path.write_text(path.read_text().replace(f'"{old}"', '"a\\u0000b"'))
    for command in ("status", "run"):
        assert f"`{key}` contains the character NUL" in refused(ExitCode.USAGE, command, tmp_path)


def test_a_new_run_for_a_target_that_is_no_path(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"question": "Why?"}\n')
    result = faq_tui("init", tmp_path / "run", "--target", "~nosuch_user_here/x", "--seeds", seeds, "--no-check")
    assert result.code == 0, result


def damaged(folder: Path, table: str) -> Path:
    """Overwrite the first page of the table, as a failing disk does."""
    database = sqlite3.connect(folder / "faq.db")
    (page,) = database.execute(f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'").fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    with (folder / "faq.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 100)
    return folder


@pytest.mark.parametrize("command", [("status",), ("pick", "q1", "1"), ("export", "--set", "elder"), ("doctor",)])
def test_a_damaged_page_of_the_database_is_one_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    run = make_run(tmp_path)
    assert faq_tui("run", run, "--only", "seeds").code == 0
    damaged(run, "seeds")
    result = faq_tui(command[0], run, *command[1:])
    assert result.code in (ExitCode.FAILED, ExitCode.USAGE), result
    if command[0] in ("status", "pick"):
        assert "faq.db cannot be used (database disk image is malformed): if the file is damaged" in result.err


def test_a_mistake_of_the_program_is_not_called_damage(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.ProgrammingError), open_run(make_run(tmp_path)) as run:
        run.store.db.execute("SELECT ?", ())
