"""The installed dialects, and what all of them together say."""

from __future__ import annotations

import re
from functools import cache

from faq_tui.core.base.errors import FaqError
from faq_tui.core.chat.dialects.base import ReasoningDialect
from faq_tui.core.extensions import DIALECTS


@cache
def tag_dialects() -> tuple[ReasoningDialect, ...]:
    """Every dialect that has tags. Raises FaqError where an installed package's dialect cannot be loaded."""
    return tuple(dialect for dialect in DIALECTS.all() if dialect.open)


@cache
def response_fields() -> tuple[str, ...]:
    """Fields of a server's message in which reasoning may come, ours first."""
    return tuple(dict.fromkeys(name for dialect in DIALECTS.all() for name in dialect.response_fields))


@cache
def special_tokens() -> frozenset[str]:
    """Tokens of every dialect, for the screen: ours alone where another package's dialect cannot be loaded."""
    try:
        installed = DIALECTS.all()
    except FaqError:
        installed = tuple(DIALECTS.get(name) for name in DIALECTS.builtin)
    return frozenset(token for dialect in installed for token in dialect.special_tokens)


@cache
def tag_pattern() -> re.Pattern[str]:
    """What finds any dialect's opening or closing tag in a text, the longer one where two begin alike."""
    tags = sorted({tag for dialect in tag_dialects() for tag in dialect.tags}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, tags)))


def closing_tags() -> frozenset[str]:
    """Every dialect's closing tag."""
    return frozenset(dialect.close for dialect in tag_dialects())


def dialect_of_template(template: str) -> ReasoningDialect | None:
    """The first dialect that this chat template (its Jinja source) writes.

    None for a model that reasons in the text of its answer, or not at all.
    """
    return next((dialect for dialect in tag_dialects() if dialect.writes(template)), None)


def opened_by(prompt: str) -> str:
    """The opening tag at the end of a prompt, which the reply then lacks; "" if there is none."""
    return next((dialect.open for dialect in tag_dialects() if prompt.rstrip().endswith(dialect.open)), "")
