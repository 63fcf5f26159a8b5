"""A command whose standard streams are closed, full, or without a reader."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.shell import FAQ_TUI, environment, make_run, rows


def in_bash(command: str, limit: str = "true") -> subprocess.CompletedProcess[bytes]:
    script = f"{limit}; set -o pipefail; {command.replace('faq-tui', ' '.join(FAQ_TUI))}"
    return subprocess.run(["bash", "-c", script], capture_output=True, timeout=120, env=environment())


@pytest.mark.parametrize("ending", ["2>&-", "2>/dev/full", "<&- >&- 2>&-", "2> >(true)", "2>&1 | true"])
def test_messages_that_nobody_can_read_do_not_end_the_work(tmp_path: Path, ending: str) -> None:
    run = make_run(tmp_path / "run")
    done = in_bash(f"faq-tui run {run} --only seeds {ending}")
    assert done.returncode == ExitCode.DONE, done
    assert rows(run, "SELECT state FROM stages") == [("done",)]


@pytest.mark.parametrize("ending", ["2>&-", "2>/dev/full", "2>&1 | true"])
def test_the_exit_code_of_an_error_that_nobody_can_read(tmp_path: Path, ending: str) -> None:
    assert in_bash(f"faq-tui status {tmp_path / 'nothing'} {ending}").returncode == ExitCode.USAGE


def test_no_file_of_the_run_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    tool = tmp_path / "open_files.py"
    tool.write_text(
        "import os, faq_tui.cli.streams as streams\nstreams.prepare_streams()\n"
        f"print(os.open({str(run / 'faq.toml')!r}, os.O_RDONLY), flush=True)\nos.write(1, b'a')\n"
    )
    python = FAQ_TUI[0]
    shown = tmp_path / "shown"
    assert in_bash(f"{python} {tool} <&- 2>&- >{shown}").returncode == 0
    assert int(shown.read_text().removesuffix("a")) > 2


def test_events_that_cannot_be_printed_do_not_end_the_work(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    done = in_bash(f"faq-tui run {run} --only seeds --json >/dev/full")
    assert rows(run, "SELECT state FROM stages") == [("done",)]
    assert done.returncode == ExitCode.FAILED
    assert done.stderr.splitlines()[-1] == (
        b"faq-tui: the run has ended, but not all events could be printed: No space left on device"
    )


@pytest.mark.parametrize("command", ["--help", "status {run}", "units {run}"])
def test_a_reader_that_has_ended_is_no_error(tmp_path: Path, command: str) -> None:
    run = make_run(tmp_path / "run")
    read, write = os.pipe()
    os.close(read)
    words = command.format(run=run).split()
    done = subprocess.run([*FAQ_TUI, *words], stdout=write, stderr=subprocess.PIPE, timeout=60, env=environment())
    os.close(write)
    assert (done.returncode, done.stderr) == (ExitCode.DONE, b"")


def test_too_little_memory(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    done = in_bash(f"faq-tui doctor {run}", limit="ulimit -v 60000")
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == (
        b"faq-tui: the memory is full, or `ulimit -v` is too low: close other programs, or raise the limit\n"
    )


def test_too_few_open_files(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    done = in_bash(f"faq-tui run {run} --only seeds", limit="ulimit -n 9")
    assert done.returncode == ExitCode.FAILED
    assert b"too many files are open: raise the limit, for example with `ulimit -n 4096`" in done.stderr, done.stderr
