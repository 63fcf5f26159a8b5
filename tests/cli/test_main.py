"""What the command costs before it does anything, and a wrong command line."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from faq_tui import cli, core
from faq_tui.core.base.errors import ExitCode
from tests.support.shell import (
    FAQ_TUI,
    environment,
    faq_tui_process,
    make_run,
    refused,
)

ROOT = Path(__file__).resolve().parents[2]
NEVER = ("torch", "transformers", "textual", "openai", "aiohttp", "httpx2", "ray")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_first_answer_comes_at_once(option: str) -> None:
    """Best of five, in a fresh process each; processor seconds, which a busy machine does not stretch."""
    times = []
    for _ in range(5):
        before = os.times()
        subprocess.run([*FAQ_TUI, option], check=True, capture_output=True, env=environment())
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))  # of children: user, system
    assert min(times) < 0.3, times
    program = f"import sys; sys.argv = ['faq-tui', '{option}']\nfrom faq_tui.cli.main import main\ntry: main()\n"
    assert _loaded(program + "except SystemExit: pass\n") == []


def test_no_module_of_core_or_cli_loads_what_is_heavy() -> None:
    """The import wall, beside ruff's rule: what a module imports may import more."""
    names = [
        module.name
        for package in (core, cli)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    assert len(names) > 100 and "faq_tui.core.worker.child" in names and "faq_tui.cli.commands.run" in names
    assert _loaded("".join(f"import {name}\n" for name in names)) == []


def _loaded(program: str) -> list[str]:
    """Which of the heavy packages are there at the end of the program."""
    program += f"\nimport sys; print('\\n' + ' '.join(n for n in {NEVER} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "Missing argument 'RUN': see `faq-tui run --help`"),
        (["rum", "x"], "No such command 'rum'"),
        (["run", "x", "--onyl", "seeds"], "No such option"),
        (["run", "x", "--only", "seeds", "--until", "seeds"], "--only and --until cannot be used together"),
        (["run", "no-such-run"], "no run folder at no-such-run: create one with `faq-tui init"),
        (["status", "no-such-run"], "no run folder at no-such-run"),
        (["init", "x", "--target", "t"], "Missing option '--seeds'"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], said: str) -> None:
    assert said in refused(ExitCode.USAGE, *arguments)


def test_as_a_process(tmp_path: Path) -> None:
    """The other tests call `main()` in their own process: the same holds for the installed command."""
    result = faq_tui_process("run", tmp_path / "nothing")
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert result.err.startswith("faq-tui: no run folder at") and result.err.count("\n") == 1


@pytest.mark.parametrize(
    "reason", ["Could not determine home directory.", "could not determine the home directory for '~/.cache', set …"]
)
def test_a_user_without_a_home_is_asked_to_set_it(
    tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(reason)

    monkeypatch.setattr("faq_tui.core.run.run.open_to_look", fail)
    assert refused(ExitCode.USAGE, "status", tmp_path).startswith("$HOME is not set")


def test_a_hub_address_that_is_no_url() -> None:
    said = refused(ExitCode.USAGE, "push", "run", "artefact", "me/mine", HF_ENDPOINT="http://[::1")
    assert said.startswith("HF_ENDPOINT is not a URL (")


def test_a_terminal_without_unicode_gets_escapes(tmp_path: Path) -> None:
    make_run(tmp_path / "ünïcödé", seeds=1)
    shown = faq_tui_process("status", tmp_path / "ünïcödé", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert shown.code == 0, shown.err
    assert "\\u" in shown.out or "\\x" in shown.out


INTERRUPTED = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0)\n"


def test_ctrl_c_while_the_command_starts(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(INTERRUPTED)
    result = faq_tui_process("--version", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert (result.code, result.out) == (ExitCode.STOPPED, "")
    assert result.err == "faq-tui: stopped by request; finished work is kept\n"


def test_ctrl_c_after_the_end_of_the_command(tmp_path: Path) -> None:
    program = (
        "import atexit, os, signal\n@atexit.register\ndef interrupt():\n    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(program)
    result = faq_tui_process("status", tmp_path / "nothing", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert (result.code, result.err.count("\n")) == (ExitCode.USAGE, 1)


def test_an_ignored_ctrl_c_stays_ignored(tmp_path: Path) -> None:
    """As in `nohup faq-tui … &`."""
    (tmp_path / "click.py").write_text(f"{INTERRUPTED}print('still here')\nraise SystemExit(0)\n")
    command = ["bash", "-c", 'trap "" INT; exec "$@"', "bash", *FAQ_TUI, "--version"]
    env = environment(PYTHONPATH=f"{tmp_path}:{ROOT}")
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "still here\n", "")
