"""`faq-tui try`: answers on a plain terminal, as JSON lines, and every refusal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.shell import FAQ_TUI, environment, faq_tui, faq_tui_process
from tests.support.try_run import EQUAL, GPTQ, W8A8, make_try_run, serve_section

HOSTILE = (
    "import sys, threading; sys.path.insert(0, {root!r}); "
    "from tests.support.fake_server import Behaviour, FakeServer; "
    "text = 'red \\x1b]52;c;aGk=\\x07 \\x1b[2J \\u202eleft nul\\x00 end'; "
    "server = FakeServer(Behaviour(models=(sys.argv[2],), dialect='none', reply=lambda _: text), "
    "port=int(sys.argv[1])); server.__enter__(); threading.Event().wait()"
)


def test_answers_below_each_other(tmp_path: Path) -> None:
    folder = make_try_run(tmp_path / "run", serve_section(), weights=False)
    result = faq_tui("try", folder, GPTQ, "--prompt", "Which is heavier?")
    assert result.code == 0
    assert result.err.splitlines() == [f"{name}: loading the model …" for name in ("unquantized", GPTQ)]
    lines = [line for line in result.out.splitlines() if line.strip()]
    assert [line for line in lines if line in ("unquantized", GPTQ, EQUAL, W8A8)] == ["unquantized", GPTQ]
    assert lines[-1].startswith("  ") and "tokens/s" in lines[-1] and "equal, all" in lines[-1]
    assert "[≠]" not in result.out


def test_json_lines(tmp_path: Path) -> None:
    folder = make_try_run(tmp_path / "run", serve_section(), weights=False)
    result = faq_tui("try", folder, "--prompt", "Which is heavier?", "--max-tokens", "9", "--json")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 0 and {row["event"] for row in rows[:-1]} >= {"loading", "answering", "tokens", "answered"}
    answers = {answer["model"]: answer for answer in rows[-1]["answers"]}
    assert list(answers) == ["unquantized", EQUAL, GPTQ] and rows[-1]["event"] == "result"
    streamed = "".join(
        text for row in rows if row["event"] == "tokens" and row["model"] == GPTQ for text in row["texts"]
    )
    assert answers[GPTQ]["text"] == streamed and answers[GPTQ]["departed"] is False


def test_text_of_a_model_cannot_control_the_terminal(tmp_path: Path) -> None:
    from tests.support.paths import ROOT

    folder = make_try_run(tmp_path / "run", serve_section(HOSTILE.format(root=str(ROOT))), weights=False)
    result = faq_tui("try", folder, EQUAL, "--prompt", "x")
    assert result.code == 0 and "red" in result.out and "nul" in result.out
    assert not set("\x1b\x07\x00\u202e") & set(result.out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such", "--prompt", "x"], "this run has no artefact 'no-such': its artefacts are gptq-w8g32-baseline"),
        (["--prompt", "   "], "the prompt is empty: write a question"),
        (["--prompt", "x", "--temperature", "9"], "9.0 is not in the range 0<=x<=2.0"),
        (["--prompt", "x", "--max-tokens", "0"], "0 is not in the range x>=1"),
    ],
)
def test_what_is_refused(tmp_path: Path, arguments: list[str], words: str) -> None:
    folder = make_try_run(tmp_path / "run", weights=False)
    result = faq_tui("try", folder, *arguments)
    assert result.code == 2 and words in result.err and result.out == ""


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    folder = make_try_run(tmp_path / "run", weights=False)
    (folder / "models" / GPTQ / "faq_manifest.json").unlink()
    result = faq_tui("try", folder, GPTQ, "--prompt", "x")
    assert result.code == 1 and f"{GPTQ} has no complete folder" in result.err


@pytest.mark.slow
def test_real_models_and_the_mark_of_the_departure(tmp_path: Path) -> None:
    folder = make_try_run(tmp_path / "run")
    done = subprocess.run(
        [*FAQ_TUI, "try", folder, EQUAL, W8A8, "--max-tokens", "8"],
        input="Which is heavier?", capture_output=True, text=True, timeout=600, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "equal, all 8 tokens" in done.stdout and done.stdout.count("[≠]") == 1
    assert done.stdout.index(W8A8) < done.stdout.index("[≠]") and " MB" in done.stdout


@pytest.mark.slow
def test_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    folder = make_try_run(tmp_path / "run")
    with subprocess.Popen(
        [*FAQ_TUI, "try", folder, EQUAL, "--prompt", "x", "--json", "--max-tokens", "900"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    ) as running:  # fmt: skip
        assert running.stdout is not None and json.loads(running.stdout.readline())["event"] == "loading"
        os.kill(running.pid, signal.SIGINT)
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 4 and "stopped by request; answers are not stored" in errors


def test_help() -> None:
    result = faq_tui_process("try", "--help")
    assert result.code == 0 and "--temperature" in result.out
