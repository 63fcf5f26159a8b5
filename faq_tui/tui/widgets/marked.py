"""The text of samples on the screen: special tokens are highlighted, and a note gives the length of a cut part."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from rich.text import Text

from faq_tui.core.chat import dialects
from faq_tui.tui.widgets.text import plain

# The special tokens of ChatML and Llama 3, DeepSeek, Gemma, Llama 2 and Mistral. The screen uses these tokens if the
# target's tokens are not known. The dialects add the tokens around reasoning.
FAMILIES = (
    r"<\|[^|<>\s]{1,40}\|>|<｜[^｜<>]{1,40}｜>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS)\]|<</?SYS>>"
)
TOKEN_STYLE = "bold magenta"
LIMIT = 20_000  # maximum characters shown


@cache
def any_family() -> re.Pattern[str]:
    """A pattern for the special tokens of all families, including the tokens around reasoning."""
    return re.compile("|".join([*_longest_first(dialects.special_tokens()), FAMILIES]))


def spelled(tokens: Iterable[str]) -> re.Pattern[str]:
    """A pattern that matches `tokens`, longer ones first.

    If `tokens` is empty, the pattern matches the special tokens of all families.
    """
    known = _longest_first(tokens)
    return re.compile("|".join(known)) if known else any_family()


def _longest_first(tokens: Iterable[str]) -> list[str]:
    return [re.escape(token) for token in sorted(filter(None, tokens), key=lambda token: (-len(token), token))]


def marked(text: str, special: re.Pattern[str] | None = None, limit: int = LIMIT) -> Text:
    """The text of a rendered sample, with its special tokens coloured and bold."""
    shown = plain(text[:limit])
    shown.highlight_regex(special or any_family(), TOKEN_STYLE)
    return shown.append(rest(text, limit), "italic")


def rest(text: str, limit: int = LIMIT) -> str:
    """A note with the number of characters beyond the limit, or "" if the text is within the limit."""
    return f"\n\n… {len(text) - limit:,} more characters, not shown" if len(text) > limit else ""
