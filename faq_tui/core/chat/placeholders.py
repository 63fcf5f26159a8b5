"""Placeholders for the texts of a conversation, which locate each text in the rendered template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from faq_tui.core.chat.dialects import split_reasoning
from faq_tui.core.chat.template import NotAssembledError, Template

Message = dict[str, str]
Span = tuple[int, int]

PREFIX = "\ue000faq"
REASONING_PLACEHOLDER, ANSWER_PLACEHOLDER = f"{PREFIX}reasoning\ue001", f"{PREFIX}answer\ue001"


@dataclass(frozen=True)
class Filled:
    """A rendered template with its texts, and the span [start, end) of each text in characters, by placeholder."""

    text: str
    spans: dict[str, Span]


def message_placeholder(index: int) -> str:
    return f"{PREFIX}{index}\ue001"


def history(messages: Sequence[Message]) -> list[Message]:
    """The messages without the reasoning of earlier answers, as templates of reasoning models drop it, too.

    Raises NotAssembledError for an earlier answer whose reasoning never ends.
    """
    out = []
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant":
            _, content, closed = split_reasoning(content)
            if not closed or (message["content"] and not content):
                raise NotAssembledError("an earlier answer never left its think block")
        out.append({"role": message["role"], "content": content})
    return out


def with_placeholders(messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
    """The messages with a placeholder for each text, and each placeholder's text in order. Empty texts stay empty."""
    texts = {message_placeholder(i): message["content"] for i, message in enumerate(messages) if message["content"]}
    return [
        message | ({"content": message_placeholder(i)} if message["content"] else {})
        for i, message in enumerate(messages)
    ], texts


def fill_placeholders(rendering: str, texts: Mapping[str, str]) -> Filled | None:
    """The rendering with each placeholder replaced by its text.

    None unless it contains every placeholder exactly once, in the order of `texts`.
    """
    out, spans, rest = "", {}, rendering
    for placeholder, text in texts.items():
        before, separator, rest = rest.partition(placeholder)
        if not separator or PREFIX in before:
            return None
        out += before
        spans[placeholder] = (len(out), len(out) + len(text))
        out += text
    return None if PREFIX in rest else Filled(out + rest, spans)


def check_texts(template: Template, texts: Sequence[str]) -> None:
    """Raise NotAssembledError if a text contains a special token or one of our placeholders."""
    for text in texts:
        for special in template.specials:
            if special in text:
                raise NotAssembledError(f"a text holds the target's special token {special}")
        if PREFIX in text:
            raise NotAssembledError("a text holds faq-tui's own marks")
