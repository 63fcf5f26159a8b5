"""Marks that stand in for the texts of a conversation: where they come out is where the texts belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.think_tags import split_think

Message = dict[str, str]
Span = tuple[int, int]

PREFIX = "\ue000faq"
REASONING_MARK, ANSWER_MARK = f"{PREFIX}reasoning\ue001", f"{PREFIX}answer\ue001"


def message_placeholder(index: int) -> str:
    return f"{PREFIX}{index}\ue001"


def history(messages: Sequence[Message]) -> list[Message]:
    """The messages without the reasoning of earlier answers, which templates of thinking models drop, too.

    Raises RefusedError for an earlier answer that never left its think block.
    """
    out = []
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant":
            _, content, closed = split_think(content)
            if not closed or (message["content"] and not content):
                raise NotAssembledError("an earlier answer never left its think block")
        out.append({"role": message["role"], "content": content})
    return out


def with_placeholders(messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
    """The messages with a mark for each text, and mark to text in order; empty texts stay as they are."""
    texts = {message_placeholder(i): message["content"] for i, message in enumerate(messages) if message["content"]}
    return [
        message | ({"content": message_placeholder(i)} if message["content"] else {})
        for i, message in enumerate(messages)
    ], texts


def fill_placeholders(rendering: str, texts: Mapping[str, str]) -> tuple[str, dict[str, Span]] | None:
    """The rendering with each mark replaced, and where its text stands, in characters.

    None unless every mark stands in it once, in the order of `texts`.
    """
    out, spans, rest = "", {}, rendering
    for mark, text in texts.items():
        before, found, rest = rest.partition(mark)
        if not found or PREFIX in before:
            return None
        out += before
        spans[mark] = (len(out), len(out) + len(text))
        out += text
    return None if PREFIX in rest else (out + rest, spans)


def check_texts(template: Template, texts: Sequence[str]) -> None:
    """Raise RefusedError for a text that would bring in a special token, or one of our marks."""
    for text in texts:
        for special in template.specials:
            if special in text:
                raise NotAssembledError(f"a text holds the target's special token {special}")
        if PREFIX in text:
            raise NotAssembledError("a text holds faq-tui's own marks")
