"""On a real pty: who may write to the terminal, and how the app ends when that is gone."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core import jobs
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.on_terminal import OnTerminal
from tests.support.shell import FAQ_TUI, environment, make_run
from tests.support.tiny import make_tiny_model

# As the command does it, but with loud company.
NOISY = """
import ctypes, os, subprocess, sys, threading, time
from pathlib import Path
from faq_tui.tui.app import FaqApp
from faq_tui.tui.launch import open_app

class Noisy(FaqApp):
    def on_mount(self):
        early.write("NOISE by an old handle\\n"); early.flush()
        os.write(1, b"NOISE by write 1\\n"); os.write(2, b"NOISE by write 2\\n")
        libc = ctypes.CDLL(None)
        libc.puts(b"NOISE by puts"); libc.fflush(None)
        subprocess.run(["sh", "-c", "echo NOISE by a child; echo NOISE by a child >&2"])
        threading.Thread(target=lambda: os.write(2, b"NOISE by a thread\\n"), daemon=True).start()
        print("NOISE by print"); print("NOISE by print", file=sys.stderr)
        self.set_timer(0.5, self.exit)

early = open(2, "w", closefd=False)
open_app(Noisy(Path(sys.argv[1])))
os.write(1, b"AFTERWARDS 1\\n"); os.write(2, b"AFTERWARDS 2\\n"); print("AFTERWARDS print")
"""


@pytest.fixture
def terminals() -> Iterator[list[OnTerminal]]:
    opened: list[OnTerminal] = []
    yield opened
    for one in opened:
        one.kill()


def opened(terminals: list[OnTerminal], *command: str | Path) -> OnTerminal:
    terminals.append(OnTerminal(*command))
    return terminals[-1]


def log_text(home: Path) -> str:
    return next(home.rglob("app.log")).read_text()


def test_nothing_but_the_app_reaches_the_terminal(folder: Path, terminals: list[OnTerminal], tmp_path: Path) -> None:
    program = tmp_path / "noisy.py"
    program.write_text(textwrap.dedent(NOISY))
    shown = opened(terminals, sys.executable, program, folder)
    assert shown.wait() == 0
    screen, _, after = shown.got.partition(b"\x1b[?1049l")
    assert b"Quantize" in screen, "the app was there"
    assert b"NOISE" not in shown.got
    log = log_text(tmp_path / "home")
    for origin in ("write 1", "write 2", "puts", "a child", "a thread", "an old handle"):
        assert f"NOISE by {origin}" in log
    for line in (b"AFTERWARDS 1", b"AFTERWARDS 2", b"AFTERWARDS print"):
        assert line in after, "1 and 2 are the terminal again"


def test_leaving_is_quick_and_puts_the_terminal_back(folder: Path, terminals: list[OnTerminal]) -> None:
    import termios

    shown = opened(terminals, *FAQ_TUI, folder)
    before = termios.tcgetattr(shown.ours)
    shown.wait_for(b"Nothing is running")
    assert termios.tcgetattr(shown.ours)[3] != before[3], "raw while it is open"
    began = time.monotonic()
    shown.press(b"q")
    assert shown.wait() == 0
    assert time.monotonic() - began < 5, "it waited for something"
    assert termios.tcgetattr(shown.ours) == before
    assert shown.got.count(b"\x1b[?1049h") == shown.got.count(b"\x1b[?1049l") == 1
    after = shown.got.partition(b"\x1b[?1049l")[2]
    assert re.sub(rb"\x1b\[\?\d+[hl]", b"", after).strip() == b"", "nothing is left on the person's own screen"
    assert after.startswith(b"\x1b[?25h"), "the cursor is back"


def in_folder(terminals: list[OnTerminal], folder: Path, *options: str) -> OnTerminal:
    """`faq-tui` without a run, called in this folder."""
    command = f"cd '{folder}' && exec {' '.join((*FAQ_TUI, *options))}"
    return opened(terminals, "sh", "-c", command)


def test_without_a_run_home_opens_runs_and_comes_back(folder: Path, terminals: list[OnTerminal]) -> None:
    make_run(folder.parent / "other", target="some/other-model")
    shown = in_folder(terminals, folder.parent)
    shown.wait_to_see("2 runs", "other", "nobody/knows-it")
    shown.press(b"/")
    shown.wait_to_see("Part of a name")
    shown.press(b"other\r")
    shown.wait_to_see("1 of 2 runs")
    shown.press(b"\r")
    shown.wait_to_see("Nothing is running")
    shown.press(b"H")
    shown.wait_to_see("2 runs", "enter Open")
    assert any(line.strip().startswith("▸ other") for line in shown.lines()), "the run that was open is selected"
    shown.press(b"q")
    assert shown.wait() == 0


def test_in_the_folder_of_a_run_it_opens_the_run(folder: Path, terminals: list[OnTerminal]) -> None:
    shown = in_folder(terminals, folder)
    shown.wait_to_see("Nothing is running")
    shown.press(b"q")
    assert shown.wait() == 0


def test_a_run_that_cannot_be_opened_leaves_home_open(folder: Path, terminals: list[OnTerminal]) -> None:
    (folder / "faq.db").mkdir()
    shown = in_folder(terminals, folder.parent)
    shown.wait_to_see("1 run ", "▸ run")
    shown.press(b"\r")
    shown.wait_to_see("cannot be written", "enter Open")
    shown.press(b"q")
    assert shown.wait() == 0


def test_without_a_place_for_its_log_the_app_opens(
    folder: Path, terminals: list[OnTerminal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose home folder cannot be written."""
    (tmp_path / "file").touch()
    for name in ("STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "file" / "below"))
    shown = in_folder(terminals, folder.parent)
    shown.wait_to_see("1 run ")
    shown.press(b"\r")
    shown.wait_to_see("Nothing is running")
    shown.press(b"q")
    assert shown.wait() == 0


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Path]:
    with FakeServer(Behaviour(pieces_per_s=10)) as server:
        target = make_tiny_model(tmp_path / "target")  # a run looks at its target before it asks for anything
        folder = make_run(tmp_path / "slow", server.url, seeds=40, source="concurrency = 8", target=str(target))
        yield folder
        job = jobs.find_live(folder)
        while job is not None and jobs.kill(job):
            time.sleep(0.02)


def with_a_job(terminals: list[OnTerminal], folder: Path) -> OnTerminal:
    shown = opened(terminals, *FAQ_TUI, folder)
    shown.wait_for(b"Nothing is running")
    shown.press(b"r")
    shown.wait_for(b"Run up to judge")
    shown.press(b"r")
    shown.wait_for(b"regenerate")
    shown.wait_for(b"120 candidates")
    return shown


@pytest.mark.slow
def test_a_closed_window_ends_the_app_and_not_the_job(slow: Path, terminals: list[OnTerminal]) -> None:
    shown = with_a_job(terminals, slow)
    job = jobs.find_live(slow)
    assert job is not None and job.pid != shown.process.pid
    began = time.monotonic()
    shown.close_window()  # the kernel sends SIGHUP
    shown.process.wait(timeout=5)
    assert time.monotonic() - began < 4
    assert jobs.state(job) == "running"
    again = opened(terminals, *FAQ_TUI, slow)
    began = time.monotonic()
    again.wait_for(b"120 candidates")
    assert time.monotonic() - began < 4, "found again"
    again.press(b"q")
    again.wait_for(b"still running")
    began = time.monotonic()
    again.press(b"l")
    assert again.wait() == 0
    assert time.monotonic() - began < 1, "quit is quick with a job running"
    assert b"keeps running" in again.got
    assert jobs.state(job) == "running"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(folder: Path, terminals: list[OnTerminal], number: signal.Signals) -> None:
    shown = opened(terminals, *FAQ_TUI, folder)
    shown.wait_for(b"Nothing is running")
    shown.process.send_signal(number)
    assert shown.wait(5) == 0
    assert b"\x1b[?1049l" in shown.got and b"Traceback" not in shown.got


def crashed(terminals: list[OnTerminal], folder: Path, work: Path, fault: str) -> OnTerminal:
    """The app after `fault`, lines of Python that break it, and the key `?`. It has ended with exit code 1."""
    program = work / "crashing.py"
    program.write_text(f"{fault}from faq_tui.cli import main\nmain.main()\n")
    shown = opened(terminals, sys.executable, program, folder)
    shown.wait_for(b"Nothing is running")
    shown.press(b"?")
    assert shown.wait() == 1
    return shown


def test_a_crash_is_one_sentence_and_the_rest_is_in_the_log(
    folder: Path, terminals: list[OnTerminal], tmp_path: Path
) -> None:
    shown = crashed(
        terminals,
        folder,
        tmp_path,
        "from faq_tui.tui.app import FaqApp\n"
        "def boom(self): raise RuntimeError('a bug [red]')\n"
        "FaqApp.action_help = boom\n",
    )
    after = shown.got.partition(b"\x1b[?1049l")[2]
    assert b"faq-tui: the app crashed with RuntimeError: a bug [red]; the details are in" in after
    assert b"Traceback" not in shown.got and "in boom" in log_text(tmp_path / "home")


@pytest.mark.parametrize("keys", [b"\xe1", b"\x1b[M\xff\xff\xff", b"\x1b[200~caf\xe9\x1b[201~", b"\xf0\x9f"])
def test_bytes_that_are_not_utf_8_are_no_crash(folder: Path, terminals: list[OnTerminal], keys: bytes) -> None:
    """For example, an old terminal sends Alt and a letter as one byte."""
    shown = opened(terminals, *FAQ_TUI, folder)
    shown.wait_for(b"Nothing is running")
    shown.press(keys)
    shown.press(b"x?")
    shown.wait_to_see("Keys")
    shown.process.send_signal(signal.SIGTERM)
    assert shown.wait(5) == 0


def test_an_error_of_the_thread_that_reads_keys_is_a_crash(
    folder: Path, terminals: list[OnTerminal], tmp_path: Path
) -> None:
    shown = crashed(
        terminals,
        folder,
        tmp_path,
        "from textual.drivers.linux_driver import XTermParser\nXTermParser.feed = lambda self, text: 1 / 0\n",
    )
    assert b"faq-tui: the app crashed with RuntimeError: the thread that reads the keys has failed" in shown.got
    assert "ZeroDivisionError" in log_text(tmp_path / "home")


def test_without_a_terminal_it_says_so(folder: Path) -> None:
    done = subprocess.run([*FAQ_TUI, folder], capture_output=True, text=True, env=environment(), timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("faq-tui: the app needs a terminal")
