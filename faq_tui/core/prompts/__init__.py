"""The prompts, as text files. A new wording is a new file: the version is part of every candidate's key.

The FAQ paper does not publish its prompts: these are ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from faq_tui.core.base.hashing import digest

PROMPTED = "reason-v1"
JUDGE, JUDGE_LIST, JUDGE_REPAIR = "judge-v2", "judge-list-v2", "judge-repair-v2"


@dataclass(frozen=True)
class Prompt:
    version: str  # the file's name and a hash of its text
    text: str

    def fill(self, **values: str) -> str:
        """Replace every `{name}` in one pass: braces inside the values stay as they are."""
        return re.sub(r"\{(\w+)\}", lambda mark: values.get(mark[1], mark[0]), self.text)


def load_prompt(name: str) -> Prompt:
    """The prompt file `name`.txt."""
    text = (files("faq_tui.core.prompts") / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
    return Prompt(f"{name}/{digest(text, length=8)}", text)
