"""Turns one raw record of a file into a seed. A record has one of three shapes (setting `seeds.shape`):

messages  a chat with the keys of OpenAI (role, content) or of ShareGPT (from, value)
prompt    a question with or without its answer, in fields with usual names, such as Alpaca's instruction and input
text      a text, which becomes the user's message
"""

from __future__ import annotations

from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.seeds.formats.base import CHAT_FIELDS
from faq_tui.core.settings import Seeds
from faq_tui.core.store.seeds import Seed

PROMPT_FIELDS = ("question", "prompt", "instruction", "query", "problem", "input")
ANSWER_FIELDS = ("answer", "response", "output", "completion", "solution")
TEXT_FIELDS = ("text", "content")
ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}


class ShapeError(ValueError):
    """The record has no question that can be asked; the message says why."""


def to_seed(raw: Any, settings: Seeds, origin: str) -> Seed:
    """Make a seed from a record's `raw`, which is a dict or a str. `origin` is its `file:line`. Raises ShapeError."""
    if isinstance(raw, str):
        return _whole(Seed(({"role": "user", "content": _text(raw, "the line")},), None, origin))
    if not isinstance(raw, dict):
        raise ShapeError(f"is {_kind(raw)}, not an object")
    messages, answer = _conversation(raw, settings)
    return _whole(
        Seed(
            messages=messages,
            answer=answer,
            origin=origin,
            label=_optional(raw.get("id")),
            category=_optional(raw.get("category")),
            language=_optional(raw.get("language")),
        )
    )


def _whole(seed: Seed) -> Seed:
    """Returns `seed`. Raises ShapeError if its text is invalid Unicode, which no tokenizer or server accepts."""
    for text in (*(message["content"] for message in seed.messages), seed.answer or ""):
        if text != storable(text):
            raise ShapeError("holds half a character (a lone surrogate)")
    return seed


def _conversation(raw: dict[str, Any], settings: Seeds) -> tuple[tuple[dict[str, str], ...], str | None]:
    shape = settings.shape
    chat = next((name for name in CHAT_FIELDS if isinstance(raw.get(name), list)), None)
    if shape == "messages" or (shape == "auto" and chat and settings.prompt_field is None):
        if chat is None:
            raise ShapeError(f"has no list {' or '.join(CHAT_FIELDS)}")
        return _from_chat(raw[chat])
    prompt = _field(raw, settings.prompt_field, PROMPT_FIELDS)
    if shape == "prompt" or (shape == "auto" and prompt):
        if prompt is None:
            raise ShapeError(f"has no field {settings.prompt_field or ' or '.join(PROMPT_FIELDS)}")
        question = _text(raw[prompt], prompt)
        extra = raw.get("input")
        if prompt == "instruction" and isinstance(extra, str) and extra.strip():
            question = f"{question}\n\n{extra.strip()}"
        answer = _field(raw, settings.answer_field, ANSWER_FIELDS)
        given = raw.get(answer) if answer else None
        return (_user(question),), given.strip() or None if isinstance(given, str) else None
    text = _field(raw, settings.prompt_field, TEXT_FIELDS)
    if text is None:
        names = ", ".join(sorted(str(name)[:40] for name in raw)[:8]) or "none"
        raise ShapeError(f"has no question: its fields are {names}; name one in seeds.prompt_field")
    return (_user(_text(raw[text], text)),), None


def _from_chat(turns: list[Any]) -> tuple[tuple[dict[str, str], ...], str | None]:
    messages = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise ShapeError(f"has {_kind(turn)} among its messages")
        given = turn.get("role", turn.get("from"))
        role = ROLES.get(given) if isinstance(given, str) else None
        if role is None:
            raise ShapeError(f"has a message of role {given[:40]!r}" if isinstance(given, str) else "has no role")
        messages.append({"role": role, "content": _content(turn.get("content", turn.get("value")))})
    last_user = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=None)
    if last_user is None:
        raise ShapeError("has no message of the user")
    _text(messages[last_user]["content"], "the user's message")
    after = messages[last_user + 1 :]
    answer = after[0]["content"].strip() if after and after[0]["role"] == "assistant" else ""
    return tuple(messages[: last_user + 1]), answer or None


def _content(content: Any) -> str:
    """The text of a message. If the content is a list of parts, the result has only the text parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "\n".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        raise ShapeError(f"has a message whose content is {_kind(content)}")
    return content.strip()


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _field(raw: dict[str, Any], named: str | None, usual: tuple[str, ...]) -> str | None:
    """The name of the field to read: `named` if the settings name a field, else the first usual field with text."""
    if named is not None:
        return named if named in raw else None
    return next((name for name in usual if isinstance(raw.get(name), str) and raw[name].strip()), None)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ShapeError(f"has {_kind(value)} in {name}, not text")
    if not value.strip():
        raise ShapeError(f"has nothing in {name}")
    return value.strip()


def _optional(value: Any) -> str | None:
    return storable(str(value))[:200] if isinstance(value, str | int) and str(value) else None


def _kind(value: Any) -> str:
    names = {
        "NoneType": "nothing",
        "list": "a list",
        "dict": "an object",
        "str": "text",
        "bool": "a truth value",
    }
    return names.get(type(value).__name__, f"a {type(value).__name__}")
