"""Read one delta or one message of a choice: the answer, the reasoning, refusals and tool calls.

In OpenAI's API, the field `content` is a text. Mistral, Anthropic-compatible servers and gateways send a list of
typed parts instead. The dialects name the fields of a response that can hold the reasoning. The reasoning can be a
text, a list of parts or an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from faq_tui.core.chat.dialects import response_fields

ANSWER, THOUGHT, REFUSAL, TOOL = "answer", "thought", "refusal", "tool"
PARTS = "content"  # the value of Piece.field for a text that was in the field `content`
_TYPES = {
    **dict.fromkeys(("", "text", "output_text", "message", "answer", "final"), ANSWER),
    **dict.fromkeys(("thinking", "thought", "reasoning", "reasoning_content", "reasoning_text", "think"), THOUGHT),
    **dict.fromkeys(("reasoning.text", "reasoning.summary", "summary_text", "thinking_delta"), THOUGHT),
    "text_delta": ANSWER,
    "refusal": REFUSAL,
    **dict.fromkeys(("tool_use", "tool_call", "function", "function_call", "server_tool_use"), TOOL),
}
_TEXT_KEYS = ("text", "thinking", "reasoning", "content", "summary", "thought", "refusal", "value")
_TOOL_FIELDS = ("tool_calls", "function_call")
DEEPEST = 8  # parts can be nested in parts; parts that are nested more deeply are ignored


class Piece(NamedTuple):
    """A part of a delta: its text, the kind of the text, and the field that holds it."""

    kind: str  # ANSWER, THOUGHT, REFUSAL or TOOL
    text: str
    field: str


def pieces_of(delta: dict[str, Any]) -> list[Piece]:
    """The pieces of a delta or message, in this order: reasoning, answer, refusal, tool call."""
    content = delta.get("content")
    if isinstance(content, str) and (len(delta) == 1 or (len(delta) == 2 and "role" in delta)):
        # This case is checked first because nearly every delta of a stream holds only a text.
        return [Piece(ANSWER, content, PARTS)] if content else []
    return list(_pieces(delta))


def _pieces(delta: dict[str, Any]) -> Iterator[Piece]:
    fields = response_fields()
    named = [name for name in delta if name in fields]
    for name in sorted(named, key=fields.index) if len(named) > 1 else named:
        value = delta[name]
        if value and (text := value if isinstance(value, str) else _text(value)):
            yield Piece(THOUGHT, text, name)
    content = delta.get("content")
    if isinstance(content, str):
        if content:
            yield Piece(THOUGHT if _is_thought(delta) else ANSWER, content, PARTS)
    elif content:
        yield from _parts(content)
    refusal = delta.get("refusal")
    if refusal and isinstance(refusal, str):
        yield Piece(REFUSAL, refusal, "refusal")
    if any(delta.get(name) for name in _TOOL_FIELDS):
        yield Piece(TOOL, "", "tool_calls")


def _is_thought(delta: dict[str, Any]) -> bool:
    """True if a flag in the delta says that the content is reasoning.

    Gemini's OpenAI-compatible API sends a flag for reasoning.
    """
    if delta.get("thought") is True:
        return True
    extra = delta.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    return isinstance(google, dict) and google.get("thought") is True


def _parts(content: Any) -> Iterator[Piece]:
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str) and part:
            yield Piece(ANSWER, part, PARTS)
        elif isinstance(part, dict):
            kind = _TYPES.get(str(part.get("type") or ""))
            if kind == ANSWER and part.get("thought") is True:
                kind = THOUGHT
            text = "" if kind is None else _text(part)
            if kind == TOOL or (kind is not None and text):
                yield Piece(kind, text, PARTS)


def _text(value: Any, depth: int = 0) -> str:
    """The text of a part, of an object that holds a text, or of a list of such values. "" if there is no text."""
    if isinstance(value, str):
        return value
    if depth == DEEPEST:
        return ""
    if isinstance(value, list):
        return "".join(_text(one, depth + 1) for one in value)
    if isinstance(value, dict):
        return next((text for key in _TEXT_KEYS if (text := _text(value.get(key), depth + 1))), "")
    return ""
