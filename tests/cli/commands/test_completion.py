"""`faq-tui completion`: a script for each shell, and what that script calls."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.shell import environment, faq_tui


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    result = faq_tui("completion", shell)
    assert result.code == 0 and "_FAQ_TUI_COMPLETE" in result.out and "faq-tui" in result.out


def test_what_the_script_calls_lists_the_commands() -> None:
    env = {"_FAQ_TUI_COMPLETE": "bash_complete", "COMP_WORDS": "faq-tui rep", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['faq-tui']; from faq_tui.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(**env))
    assert "plain,report" in done.stdout.splitlines() and "plain,run" not in done.stdout.splitlines()
