"""Text of samples for the screen: special tokens told apart, long texts cut with a word about it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.text import Text

from faq_tui.tui.widgets.text import plain

# Where the target's own are not known, as the families spell them:
# ChatML and Llama 3, DeepSeek, Gemma, Llama 2 and Mistral, think tags.
SPECIAL = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<｜[^｜<>]{1,40}｜>|</?think>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS)\]|<</?SYS>>"
)
TOKEN_STYLE = "bold magenta"
LIMIT = 20_000  # characters on the screen


def spelled(tokens: Iterable[str]) -> re.Pattern[str]:
    """What finds these tokens, the longer ones first; any family's where there are none."""
    known = sorted(filter(None, tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, known))) if known else SPECIAL


def marked(text: str, special: re.Pattern[str] = SPECIAL, limit: int = LIMIT) -> Text:
    """The text of a rendered sample; its template's tokens stand out in colour and weight."""
    shown = plain(text[:limit])
    shown.highlight_regex(special, TOKEN_STYLE)
    return shown.append(rest(text, limit), "italic")


def rest(text: str, limit: int = LIMIT) -> str:
    """What is said of the characters beyond the limit; nothing if there are none."""
    return f"\n\n… {len(text) - limit:,} more characters, not shown" if len(text) > limit else ""
