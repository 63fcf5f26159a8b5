"""Answers that decline instead of answering, in the languages of data/refusals.txt."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

FIRST = 400  # characters in which a refusal begins
LONGEST = 1500  # of an answer: a longer one has more to say than no

_SENTENCE = re.compile(r"(?:^|(?<=[.!?。！？\n]))\s*[*_>#\"“]*\s*")


@cache
def _patterns() -> re.Pattern[str]:
    text = (files("faq_tui.core.regenerating") / "data" / "refusals.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return re.compile("|".join(f"(?:{line})" for line in lines), re.IGNORECASE)


def refusal_in(answer: str) -> str | None:
    """The words with which a short answer declines; None if it does not."""
    if len(answer) > LONGEST:
        return None
    text = answer[:FIRST].replace("’", "'").replace("ʼ", "'")
    for start in _SENTENCE.finditer(text):
        found = _patterns().match(text, start.end())
        if found:
            return found[0]
    return None
