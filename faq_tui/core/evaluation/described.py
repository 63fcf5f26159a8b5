"""Held-out texts in words, for reports."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from faq_tui.core.evaluation.items import Item
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, LAST_WORD, WORDS, kind_of
from faq_tui.core.evaluation.reading import STARTER
from faq_tui.core.evaluation.texts import PYDOC, WIKITEXT2
from faq_tui.core.run import Run

SMALL = "a small set written for faq-tui: it finds big damage, not small differences"


def describe(run: Run, text: str, items: Sequence[Item]) -> str:
    """What a held-out text is, and how it is read. `text` is its name as `named` makes it; `items` are of prose."""
    kind, settings = kind_of(text), run.settings.evaluate
    name = text.partition(":")[2] if kind != "prose" else text
    if kind == ANSWERS:
        who = f"the answers of source {name}" if name else "the unquantized target's own answers"
        return f"{who} to held-out seeds; token perplexity of the answers only"
    if kind == CHOICES:
        what = SMALL if name == STARTER else f"multiple-choice file {name}"
        return f'{what}; "Question: … Answer:" and each choice, by likelihood'
    if kind == LAST_WORD:
        what = SMALL if name == STARTER else f"passages of {_prose(name)}"
        return f"{what}; the last word after all before it"
    if kind == WORDS:
        window = "as long as the model can read" if settings.word_window == "model" else f"of {settings.word_window}"
        return f"{_prose(name)}; word perplexity as lm_eval counts it, rolling windows {window} tokens"
    longest = max(len(item.ids) for item in items)
    return f"{_prose(name)}; token perplexity at non-overlapping windows of {longest} tokens"


def _prose(name: str) -> str:
    if name == PYDOC:
        return f"prose from the language reference of Python {platform.python_version()}"
    if name == WIKITEXT2:
        return "WikiText-2 (raw), test split"
    return f"text file {name}"
