"""The formats in the help of `report` and `export`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.shell import environment


@pytest.mark.parametrize("command", ["report", "export"])
def test_help_on_formats_loads_only_what_describes_them(command: str) -> None:
    program = f"import sys; sys.argv = ['faq-tui', '{command}', '--help']\nfrom faq_tui.cli.main import main\n"
    program += "try: main()\nexcept SystemExit: pass\nprint('pydantic' in sys.modules, 'sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert "Formats:" in done.stdout and done.stdout.splitlines()[-1] == "False False", done
