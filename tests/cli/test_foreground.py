"""On a real terminal: Ctrl-C, and text from servers that must stay text."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.cli.foreground import TOGETHER_S
from faq_tui.core.base.errors import ExitCode
from tests.support.fake_server import Behaviour, FakeServer, Fault
from tests.support.shell import FAQ_TUI, environment, faq_tui, make_run, started, stored

# Sets the clipboard; moves the cursor; the 8-bit CSI; a title; markup of rich.
EVIL = "\x1b]52;c;RVZJTA==\x07 \x1b[2J\x9b31m \x1b]0;owned\x07 [bold red]loud[/] [link=http://x]y[/link] \u202eback"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def on_a_terminal(*arguments: str | Path) -> tuple[int, str]:
    """(exit code, all that the terminal gets) of a command whose three streams are one pty."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*FAQ_TUI, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm-256color", COLUMNS="400"),
        start_new_session=True,
    )
    os.close(theirs)
    got = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                chunk = os.read(ours, 1 << 16)
            except OSError:  # Linux ends a pty with EIO
                break
            if not chunk:
                break
            got += chunk
    os.close(ours)
    return process.wait(timeout=10), got.decode()


def inert(shown: str) -> None:
    """What EVIL says is there to be read, and none of it acts."""
    assert "[bold red]loud[/] [link=http://x]y[/link]" in shown
    assert "\x1b]" not in shown and "\x07" not in shown, "no operating system command"
    assert "\x1b[2J" not in shown and "\x9b" not in shown and "\u202e" not in shown
    assert "\ufffd]52;c;RVZJTA==\ufffd" in shown


def test_changed_settings_are_named_before_the_work(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", seeds=6, seed_keys="count = 4")
    settings = folder / "faq.toml"
    assert "have changed" not in faq_tui("run", folder, "--until", "seeds").err
    assert "have changed" not in faq_tui("run", folder, "--until", "seeds").err
    settings.write_text(settings.read_text().replace("count = 4", "count = 2"))
    lines = faq_tui("run", folder, "--until", "seeds").err.splitlines()
    assert lines[0] == "  settings or inputs have changed, so this stage runs again: seeds"
    assert lines[1].startswith("seeds:")


def test_an_error_message_of_a_server_is_only_text(server: FakeServer, tmp_path: Path) -> None:
    def fault(asked: object) -> Fault:
        return Fault("error", message=EVIL)

    server.behaviour = Behaviour(fault=fault)
    run = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1\nretries = 1")
    code, shown = on_a_terminal("run", run, "--until", "regenerate")
    assert code == ExitCode.FAILED
    inert(shown)
    assert "next try in" in shown and "gave up" in shown, "the bars' lines were put to the test, too"
    code, shown = on_a_terminal("status", run)
    assert code == 0 and "regenerate" in shown
    inert(shown)


@pytest.mark.slow
def test_a_status_message_and_a_models_name_are_only_text(server: FakeServer, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", server.url, seeds=1)
    server.behaviour = Behaviour(models=(EVIL,))
    code, shown = on_a_terminal("run", run, "--until", "regenerate")
    assert code == ExitCode.UNREACHABLE
    inert(shown)
    code, shown = on_a_terminal("doctor", run)
    assert code in (ExitCode.UNREACHABLE, ExitCode.FAILED)
    inert(shown)
    server.behaviour = Behaviour(fault=lambda asked: Fault("status", 400, EVIL))
    code, shown = on_a_terminal("run", run, "--until", "regenerate")
    assert code == ExitCode.FAILED
    inert(shown)


def test_bars_end_clean(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(pieces_per_s=100)
    code, shown = on_a_terminal("run", make_run(tmp_path / "run", server.url), "--until", "regenerate")
    assert code == 0
    assert "━" in shown and re.search(r"\d+/12", shown), "no bar was drawn"
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") > 0, "the cursor comes back"


@pytest.mark.parametrize("asked_by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.slow
def test_the_first_request_to_stop_keeps_what_is_finished(
    server: FakeServer, tmp_path: Path, asked_by: signal.Signals
) -> None:
    server.behaviour = Behaviour(pieces_per_s=50)
    run = make_run(tmp_path / "run", server.url, seeds=20, source="concurrency = 4")
    with started("run", run, "--until", "regenerate") as process:
        server.wait_for(lambda stats: stats.finished.total() >= 5)
        process.send_signal(asked_by)
        time.sleep(0.005)
        process.send_signal(asked_by)  # the command `timeout` sends its signal twice
        _, stderr = process.communicate(timeout=5)
    said = [line for line in stderr.decode().splitlines() if line.startswith("faq-tui: ")]
    assert said == [
        "faq-tui: stopping; finished work is kept (Ctrl-C again leaves at once)",
        "faq-tui: stopped by request; finished work is kept, run the same command again to continue",
    ]
    assert process.returncode == ExitCode.STOPPED and b"Traceback" not in stderr
    kept, asked = stored(run), server.stats().asked
    assert 4 <= len(kept) < 60
    server.behaviour = Behaviour()
    assert faq_tui("run", run, "--until", "regenerate").code == 0
    assert len(stored(run)) == 60
    assert all(server.stats().asked[name] == asked[name] for name in kept)


def test_the_second_leaves_at_once() -> None:
    """The first is not followed by a safe point. The second one comes later than a repetition of the first."""
    waits = "from faq_tui.cli.foreground import stop_on_signals\nimport time\n"
    waits += "with stop_on_signals():\n    print('ready', flush=True)\n    time.sleep(60)\n    time.sleep(60)\n"
    with subprocess.Popen(
        [sys.executable, "-c", waits], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        process.stderr.readline()
        assert b"stopping" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        time.sleep(TOGETHER_S)
        assert process.poll() is None, "the command `timeout` sends its signal twice"
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(timeout=5) == ExitCode.STOPPED
        assert time.monotonic() - began < 1
        assert b"Traceback" not in process.stderr.read()
