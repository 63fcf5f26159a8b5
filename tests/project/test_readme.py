"""README is a landing page: its two commands are marked for .ci/run, and it stays short."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.paths import ROOT

LONGEST = 150  # lines


def page() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short() -> None:
    assert len(page().splitlines()) <= LONGEST


def test_the_two_commands_are_marked() -> None:
    for mark, ending in (("demo", "faq-tui demo --headless"), ("tests", "python -m pytest -q")):
        block = re.search(rf"<!-- {mark} -->\n```sh\n(.*?)\n```", page(), re.DOTALL)
        assert block is not None and block[1].endswith(ending)


def test_it_leads_to_every_page() -> None:
    """Every page of docs/ is linked from README, or from a page that README links."""
    reached: set[Path] = set()
    to_read = [ROOT / "README.md"]
    while to_read:
        one = to_read.pop()
        links = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", one.read_text(encoding="utf-8"))
        new = {path for link in links if (path := (one.parent / link).resolve()).exists()} - reached
        reached |= new
        to_read += sorted(new)
    assert {path for path in (ROOT / "docs").rglob("*.md") if path.resolve() not in reached} == set()
