"""README's file tree is the architecture page: it names what is there, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from faq_tui.tui.registry import key_table

ROOT = Path(__file__).parents[1]
HIDDEN = {"__init__.py", "__main__.py", "__pycache__"}


def tree() -> dict[str, set[str]]:
    """Folder to the names that the tree lists in it."""
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("```\nfaq_tui/\n")[1].split("```")[0]
    found: dict[str, set[str]] = {"faq_tui": set()}
    parents = ["faq_tui"]
    for line in block.splitlines():
        indent = (len(line) - len(line.lstrip())) // 2
        if indent == 0:
            break  # the folders beside faq_tui
        names = re.split(r" {2,}", line.strip())[0].split()
        parents = parents[:indent]
        found.setdefault("/".join(parents), set()).update(name.rstrip("/") for name in names)
        parents.append(names[-1].rstrip("/"))
    return found


def test_what_the_tree_names_is_there() -> None:
    for folder, names in tree().items():
        for name in names:
            assert (ROOT / folder / name).exists(), f"{folder}/{name}"


def test_what_is_there_is_in_the_tree() -> None:
    listed = tree()
    for folder in ("faq_tui", "faq_tui/core"):
        there = {p.name for p in (ROOT / folder).iterdir()} - HIDDEN
        assert there <= listed[folder], there - listed[folder]


def test_the_table_of_keys_is_the_registrys() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page.partition("<!-- keys -->\n")[2].partition("\n<!-- /keys -->")[0] == key_table()


def test_the_two_commands_are_marked() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for mark, ending in (("demo", "faq-tui demo --headless"), ("tests", "python -m pytest -q")):
        block = re.search(rf"<!-- {mark} -->\n```sh\n(.*?)\n```", page, re.DOTALL)
        assert block is not None and block[1].endswith(ending)
