"""Load the shipped prompts, which are text files.

Do not edit a shipped prompt; add a new file instead. The hash of a prompt's text is part of the key of each candidate
that was made with this prompt.

The FAQ paper does not publish its prompts. The prompts in this folder were written for faq-tui.
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
    version: str  # the file name and the hash of the text
    text: str

    def fill(self, **values: str) -> str:
        """Replace every `{name}` in one pass. Braces inside the values stay unchanged."""
        return re.sub(r"\{(\w+)\}", lambda mark: values.get(mark[1], mark[0]), self.text)


def load_prompt(name: str) -> Prompt:
    """Load the prompt from `name`.txt."""
    text = (files("faq_tui.core.prompts") / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
    return Prompt(f"{name}/{digest(text, length=8)}", text)
