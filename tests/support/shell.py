"""Calling `faq-tui` as a shell does, and the run folders that the tests give it."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from faq_tui.cli.main import main
from faq_tui.core.base.errors import ExitCode

FAQ_TUI = [sys.executable, "-m", "faq_tui"]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def environment(**extra: str) -> dict[str, str]:
    """This one's, without colours, terminal or network."""
    dropped = ("COLUMNS", "FORCE_COLOR", "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", **extra}


def faq_tui(*arguments: str | Path, **env: str) -> Result:
    """Call `main()` like the installed command, but in this process: a new process needs a second for imports.

    Every call checks that no traceback was printed.
    """
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with (
        mock.patch.dict(os.environ, environment(**env), clear=True),
        mock.patch.object(sys, "argv", ["faq-tui", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    return _result(int(end.value.code or 0), *(_bytes(stream) for stream in (out, err)))


def faq_tui_process(*arguments: str | Path, timeout: float = 300, cwd: Path | None = None, **env: Any) -> Result:
    """The same in a process of its own, run to its end."""
    done = subprocess.run(
        [*FAQ_TUI, *map(str, arguments)], capture_output=True, timeout=timeout, cwd=cwd, env=environment(**env)
    )
    return _result(done.returncode, done.stdout, done.stderr)


def _bytes(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue()


def _result(code: int, out: bytes, err: bytes) -> Result:
    result = Result(code, out.decode(errors="surrogateescape"), err.decode())
    assert "Traceback" not in result.out + result.err, result.err
    return result


def refused(code: ExitCode, *arguments: str | Path, **env: str) -> str:
    """The one sentence of a command that must end with `code`, without its `faq-tui: `."""
    result = faq_tui(*arguments, **env)
    assert result.code == code, result
    return sentence(result.err)


def sentence(stderr: str) -> str:
    """The one line that begins with `faq-tui: `; it is the last."""
    lines = [line for line in stderr.splitlines() if line.startswith("faq-tui: ")]
    assert len(lines) == 1, stderr
    assert stderr.splitlines()[-1] == lines[0], stderr
    return lines[0].removeprefix("faq-tui: ")


@contextmanager
def started(*arguments: str | Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a running process, killed at the end of the block if it still runs."""
    process = subprocess.Popen(
        [*FAQ_TUI, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(**env)
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def make_run(
    folder: Path,
    url: str = "http://127.0.0.1:9/v1",
    seeds: int | str = 4,
    source: str = "",
    rest: str = "",
    seed_keys: str = "",
    target: str = "nobody/knows-it",
) -> Path:
    """A run with one source at `url`; `seeds`: how many, or the name of a file beside `faq.toml`."""
    folder.mkdir(parents=True, exist_ok=True)
    name = seeds if isinstance(seeds, str) else "seeds.jsonl"
    if isinstance(seeds, int):
        write_seeds(folder / name, seeds)
    (folder / "faq.toml").write_text(
        f"""
[target]
model = "{target}"
[seeds]
path = "{name}"
heldout = 0
{seed_keys}
[sources.elder]
base_url = "{url}"
model = "fake-8b"
{source}
{rest}
"""
    )
    return folder


def question(number: int) -> str:
    return f"What is question number {number} about?"


def write_seeds(path: Path, count: int) -> Path:
    rows = ({"id": f"q{n}", "question": question(n), "answer": f"It is about {n}."} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(folder: Path, query: str) -> list[Any]:
    """Read the run's database from outside."""
    connection = sqlite3.connect(f"file:{folder / 'faq.db'}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def stored(folder: Path) -> set[tuple[str, int]]:
    """(question, number counted from 0) of every stored candidate."""
    query = "SELECT s.messages, c.number FROM candidates c JOIN seeds s ON s.id = c.seed_id"
    return {(json.loads(messages)[-1]["content"], number - 1) for messages, number in rows(folder, query)}


def events(result: Result) -> list[dict[str, Any]]:
    """The events of a `--json` run."""
    return [json.loads(line) for line in result.out.splitlines()]
