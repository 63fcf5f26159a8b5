"""English prose that every Python brings along: the language reference behind `help()`, without its code."""

from __future__ import annotations

import re

from faq_tui.core.errors import FaqError

MIN_WORDS = 20
PLAIN = re.compile(r"[A-Za-z ,.;:'\"()“”’‘–—-]")
PLAIN_SHARE = 0.95
NOT_PROSE = ("::=", ">>>", "://", "->")


def pydoc_prose() -> str:
    """Paragraphs of `pydoc_data.topics` in the order of the sorted topics, each once, lines joined.

    The text differs from one Python version to the next.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise FaqError(
            'this Python lacks pydoc_data: name "wikitext2" or a text file in evaluate.perplexity'
        ) from None
    paragraphs = (p for name in sorted(topics) for p in re.split(r"\n\s*\n", topics[name]))
    joined = (" ".join(p.split()) for p in paragraphs)
    return "\n\n".join(dict.fromkeys(p for p in joined if is_prose(p)))


def is_prose(paragraph: str) -> bool:
    """Whole sentences in plain words: no grammar, code, table, list or link."""
    return (
        len(paragraph.split()) >= MIN_WORDS
        and paragraph[0].isupper()
        and paragraph.rstrip().endswith((".", ".)"))
        and not any(mark in paragraph for mark in NOT_PROSE)
        and len(PLAIN.findall(paragraph)) >= PLAIN_SHARE * len(paragraph)
    )
