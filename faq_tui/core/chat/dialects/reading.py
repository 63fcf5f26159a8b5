"""Use all installed dialects: collect their tags and field names, and split replies into reasoning and answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from faq_tui.core.base.errors import FaqError
from faq_tui.core.chat.dialects.base import ReasoningDialect
from faq_tui.core.chat.dialects.replies import closed_alone, unwrapped
from faq_tui.core.extensions import DIALECTS


@cache
def tag_dialects() -> tuple[ReasoningDialect, ...]:
    """All dialects that have tags. Raises FaqError if a dialect of another package cannot be loaded."""
    return tuple(dialect for dialect in DIALECTS.all() if dialect.open)


@cache
def response_fields() -> tuple[str, ...]:
    """The fields of a server's message that may hold reasoning. The fields of faq-tui's own dialects come first."""
    return tuple(dict.fromkeys(name for dialect in DIALECTS.all() for name in dialect.response_fields))


@cache
def special_tokens() -> frozenset[str]:
    """The special tokens of all dialects. The screen marks special tokens.

    If a dialect of another package cannot be loaded, only the special tokens of faq-tui's own dialects are returned.
    """
    try:
        installed = DIALECTS.all()
    except FaqError:
        installed = tuple(DIALECTS.get(name) for name in DIALECTS.builtin)
    return frozenset(token for dialect in installed for token in dialect.special_tokens)


@cache
def tag_pattern() -> re.Pattern[str]:
    """A pattern for any dialect's opening or closing tag.

    If one tag is the beginning of another tag, the pattern matches the longer tag.
    """
    tags = sorted({tag for dialect in tag_dialects() for tag in dialect.tags}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, tags)))


def closing_tags() -> frozenset[str]:
    """The closing tags of all dialects."""
    return frozenset(dialect.close for dialect in tag_dialects())


def dialect_of_template(template: str) -> ReasoningDialect | None:
    """The first dialect that a chat template uses. `template` is the template's Jinja source.

    Returns None if the model does not reason or does not mark its reasoning.
    """
    return next((dialect for dialect in tag_dialects() if dialect.writes(template)), None)


def opened_by(prompt: str) -> str:
    """The opening tag at the end of a prompt, or "".

    If the prompt ends with an opening tag, the reply does not repeat it.
    """
    return next((dialect.open for dialect in tag_dialects() if prompt.rstrip().endswith(dialect.open)), "")


def split_reasoning(content: str) -> tuple[str, str, bool]:
    """Split a whole reply into (reasoning, answer, closed). `closed` is False if the closing tag is missing.

    The reasoning comes first, between the tags of one dialect. In some dialects the prompt may contain the opening
    tag. For these dialects, a reply with only the closing tag is also split.
    """
    dialect = _opened_by(content.lstrip(), tag_dialects())
    if dialect is not None and (parts := dialect.split(content)) is not None:
        return parts
    closed = [d for d in tag_dialects() if d.opened_by_prompt and d.close in content]
    if closed:
        first = min(closed, key=lambda d: content.index(d.close))
        reasoning, _, answer = content.partition(first.close)
        return reasoning.strip(), answer.strip(), True
    return "", content.strip(), True


def split_reply(content: str) -> tuple[str, str, bool]:
    """Like `split_reasoning`, but it also splits replies of servers that do not keep to the tags of a dialect.

    The function also removes end tokens after the answer, and tags around the whole answer.
    """
    dialect = _opened_by(content.lstrip(), tag_dialects())
    dialects = [*([dialect] if dialect else []), *DIALECTS.all()]
    parts = next((parts for d in dialects if (parts := d.split_reply(content)) is not None), None)
    if parts is None:
        closed = any(d.opened_by_prompt and d.close in content for d in tag_dialects())
        parts = None if closed else closed_alone(content, [d for d in tag_dialects() if not d.opened_by_prompt])
    reasoning, answer, closed = parts or split_reasoning(content)
    return reasoning, unwrapped(answer, bool(reasoning)), closed


def begins_with_reasoning(text: str) -> bool:
    """True if the text begins with any dialect's opening tag."""
    return _opened_by(text.lstrip(), tag_dialects()) is not None


class ReasoningStream:
    """Splits a reply into reasoning and answer while the reply arrives. Only the screen uses the result.

    When the reply is finished, `split_reply` splits the whole reply, and that result is stored.

    If the opening tag is in the prompt, the screen first shows the reasoning as part of the answer.
    """

    def __init__(self) -> None:
        self._dialects = tag_dialects()
        self._held = ""
        self._begun = False  # True when it is known whether the text begins with reasoning
        self._close = ""  # closing tag of the current reasoning; "" outside reasoning

    def feed(self, text: str) -> tuple[str, str]:
        """Return the new text as (reasoning, answer).

        Text that could be the start of a tag is kept for a later call.
        """
        self._held += text
        if not self._begun and not self._begin():
            return "", ""
        if not self._close:
            out, self._held = self._held, ""
            return "", out
        before, close, after = self._held.partition(self._close)
        if close:
            self._close, self._held = "", ""
            return before, after
        keep = next((n for n in range(len(self._close) - 1, 0, -1) if self._held.endswith(self._close[:n])), 0)
        out, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return out, ""

    def _begin(self) -> bool:
        """Find out whether the text begins with reasoning. Returns False if the text is still too short to know."""
        start = self._held.lstrip()
        if not start or any(d.open.startswith(start) and d.open != start for d in self._dialects):
            return False
        self._begun = True
        dialect = _opened_by(start, self._dialects)
        if dialect is not None:
            self._close, self._held = dialect.close, start.removeprefix(dialect.open)
        return True


def _opened_by(start: str, dialects: Sequence[ReasoningDialect]) -> ReasoningDialect | None:
    """The dialect whose opening tag is at the beginning of `start`.

    If several dialects fit, the one with the longest tag is returned. If no dialect fits, the result is None.
    """
    return max((d for d in dialects if start.startswith(d.open)), key=lambda d: len(d.open), default=None)
