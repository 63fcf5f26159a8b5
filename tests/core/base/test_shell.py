"""Commands that a person can paste into a shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.shell import command_line
from tests.support.paths import ROOT


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_shell_gets_the_same_words(folder: str) -> None:
    assert shlex.split(command_line("run", folder, "--until", "assemble")) == [
        "faq-tui", "run", folder, "--until", "assemble",
    ]  # fmt: skip


def test_a_path_without_special_characters_is_not_quoted() -> None:
    assert command_line("run", Path("/data/my-run")) == "faq-tui run /data/my-run"


def test_no_advice_writes_a_path_without_quotes() -> None:
    unquoted = re.compile(r"faq-tui (run|doctor|status|pick|init|units|push|batch \w+|report|export|try|serve) \{")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "faq_tui").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if unquoted.search(line)
    ]
    assert not found, "use command_line"
