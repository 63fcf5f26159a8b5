"""Turn one record of a file into a seed. A record has one of three shapes (`seeds.shape`):

messages  a chat, see `turns`
prompt    a question in one of the usual fields, with or without an answer (includes Alpaca's instruction and input)
text      a text, which becomes the user's message

The first field with a usual name that contains text is used. Unusual names are tried last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.seeds.media import media_in_text, media_of_fields, refuse_media
from faq_tui.core.seeds.reasons import NO_QUESTION, ShapeError
from faq_tui.core.seeds.rendered_chats import turns_in_text
from faq_tui.core.seeds.turns import CHAT_FIELDS, Chat, as_turns, kind_of, parsed_json, read_answer, read_chat
from faq_tui.core.settings import Seeds
from faq_tui.core.store.seeds import Seed

__all__ = ["SeedOfRecord", "ShapeError", "read_seed", "to_seed"]

PROMPT_FIELDS = ("question", "prompt", "instruction", "query", "problem", "input")
ANSWER_FIELDS = ("answer", "response", "output", "completion", "solution")
TEXT_FIELDS = ("text", "content")
SYSTEM_FIELDS = (
    *("system", "system_prompt", "system_message", "system_instruction", "system_instructions"),
    *("sys_prompt", "developer", "developer_prompt"),
)
# The library TRL stores chats in the fields `prompt` and `chosen`.
FURTHER_CHATS = ("prompt", "dialog", "dialogue", "chat", "turns", "history", "data", "chosen")
FURTHER_PROMPTS = ("user", "human", "user_prompt", "user_message", "inputs", "ask")
FURTHER_ANSWERS = (
    *("answers", "chosen", "responses", "outputs", "completions", "assistant", "gpt", "reply", "target", "targets"),
    *("best_answer", "model_answer", "reference_answer"),
)
DEEPEST = 3  # maximum depth of nested objects that are searched for a question
# matches the beginning of a turn in the form of the data set HH-RLHF
TRANSCRIPT = re.compile(r"(?:\A|\n\n)(Human|Assistant):[ \n]?")


@dataclass(frozen=True)
class SeedOfRecord:
    """A record's seed.

    `left_out` names the parts of the record that are not in the seed. The names are keys of `reasons.LEFT_OUT`.
    """

    seed: Seed
    left_out: tuple[str, ...] = ()


def to_seed(raw: Any, settings: Seeds, origin: str) -> Seed:
    """The seed in a record's `raw`: a dict, a str or a list of turns. `origin` is `file:line`. Raises ShapeError."""
    return read_seed(raw, settings, origin).seed


def read_seed(raw: Any, settings: Seeds, origin: str) -> SeedOfRecord:
    """Like `to_seed`, but the result also names the parts of the record that are left out."""
    if isinstance(raw, str):
        parsed = parsed_json(raw)
        if not (as_turns(parsed) or (isinstance(parsed, dict) and _chat_field(parsed, strict=True))):
            turns = turns_in_text(raw)
            if turns is None:
                return SeedOfRecord(_whole(Seed((_user(_text(raw, "the line")),), None, origin)))
            parsed = turns
        raw = parsed
    if isinstance(raw, list) and as_turns(raw):
        raw = {"messages": raw}
    if not isinstance(raw, dict):
        raise ShapeError(f"is {kind_of(raw)}, not an object")
    raw = {name: value for name, value in raw.items() if isinstance(name, str)}
    fields = _names(settings)
    chat = _with_system(_conversation(raw, settings, 0), raw, settings)
    refuse_media(media_of_fields(raw))
    seed = Seed(
        messages=chat.messages,
        answer=chat.answer,
        origin=origin,
        label=_optional(_value(raw, fields.get("id", "id"))),
        category=_optional(_value(raw, fields.get("category", "category"))),
        language=_optional(_value(raw, fields.get("language", "language"))),
    )
    return SeedOfRecord(_whole(seed), chat.left_out)


def _whole(seed: Seed) -> Seed:
    """Check the seed, and return it.

    Raises ShapeError if a text of the seed is not valid Unicode, or if the seed has a placeholder for media.
    """
    for text in (*(message["content"] for message in seed.messages), seed.answer or ""):
        if text != storable(text):
            raise ShapeError("contains a lone surrogate, which is not a valid character")
    refuse_media(media_in_text(seed.question))
    return seed


def _conversation(raw: dict[str, Any], settings: Seeds, depth: int) -> Chat:
    fields = _names(settings)
    shape, prompt_field = settings.shape, fields.get("prompt", settings.prompt_field)
    if "messages" in fields:
        return _named_chat(raw, fields["messages"])
    chat = next((name for name in CHAT_FIELDS if isinstance(raw.get(name), list)), None)
    if shape == "messages" or (shape == "auto" and chat and prompt_field is None):
        if chat is not None:
            return _chat(raw[chat])
        chat = _chat_field(raw)
        if chat is None:
            raise ShapeError(f"has no list {' or '.join(CHAT_FIELDS)}", NO_QUESTION)
        return _with_answer(_chat(raw[chat]), chat, raw, settings)
    prompt = _field(raw, prompt_field, PROMPT_FIELDS)
    if prompt_field is None and prompt is None and (shape == "prompt" or _field(raw, None, TEXT_FIELDS) is None):
        found = _further(raw, settings, depth) if shape != "text" else None
        if found is not None:
            return found
    if shape == "prompt" or (shape == "auto" and prompt):
        if prompt is None:
            raise ShapeError(f"has no field {prompt_field or ' or '.join(PROMPT_FIELDS)}", NO_QUESTION)
        return _of_prompt(raw, prompt, settings)
    text = _field(raw, prompt_field, TEXT_FIELDS)
    if text is None:
        names = ", ".join(sorted(str(name)[:40] for name in raw)[:8]) or "none"
        why = f"has no question: its fields are {names}; set seeds.prompt_field to one of them"
        raise ShapeError(why, NO_QUESTION)
    turns = as_turns(_value(raw, text)) or turns_in_text(_text(_value(raw, text), text))
    return read_chat(turns) if turns else Chat((_user(_text(_value(raw, text), text)),), None)


def _further(raw: dict[str, Any], settings: Seeds, depth: int) -> Chat | None:
    """The chat in fields with unusual names, or in an object within the record; None if there is none."""
    chat = _chat_field(raw)
    if chat is not None:
        return _with_answer(_chat(raw[chat]), chat, raw, settings)
    if isinstance(raw.get("chosen"), str) and TRANSCRIPT.match(raw["chosen"]):
        return read_chat(_transcript(raw["chosen"]))
    several = next((name for name in PROMPT_FIELDS if isinstance(raw.get(name), list) and _first(raw[name])), None)
    prompt = several or _field(raw, None, FURTHER_PROMPTS) or _any_case(raw, PROMPT_FIELDS + TEXT_FIELDS)
    if prompt is not None:
        return _of_prompt(raw, prompt, settings)
    inner = [value for value in raw.values() if isinstance(value, dict)]
    if depth < DEEPEST and len(inner) == 1:
        try:
            found = {name: value for name, value in inner[0].items() if isinstance(name, str)}
            return _with_system(_conversation(found, settings, depth + 1), found, settings)
        except ShapeError as error:
            if error.reason != NO_QUESTION:
                raise
    return None


def _of_prompt(raw: dict[str, Any], prompt: str, settings: Seeds) -> Chat:
    """Make a chat from the field `prompt`, which contains a question or a list of turns."""
    value = _value(raw, prompt)
    turns = as_turns(value) or (turns_in_text(value) if isinstance(value, str) else None)
    if turns:
        return _with_answer(read_chat(turns), prompt, raw, settings)
    several = isinstance(value, list) and len(value) > 0 and all(isinstance(item, str) for item in value)
    if several:
        value, several = value[0], len(value) > 1
    question = _text(value, prompt)
    fields = _names(settings)
    extra = _value(raw, fields.get("input", "input"))
    if (prompt == "instruction" or "input" in fields) and isinstance(extra, str) and extra.strip():
        question = f"{question}\n\n{extra.strip()}"
    before = _history(raw) if prompt == "instruction" else ()
    return Chat((*before, _user(question)), _answer(raw, settings), ("further prompts",) if several else ())


def _named_chat(raw: dict[str, Any], name: str) -> Chat:
    value = _value(raw, name)
    turns = value if isinstance(value, list) else as_turns(value)
    if turns is None:
        raise ShapeError(f"has no list of messages in the field {name[:40]}", NO_QUESTION)
    return _chat(turns)


def _chat_field(raw: dict[str, Any], strict: bool = False) -> str | None:
    """The name of a field that certainly contains a chat. If `strict` is true, only the usual names are tried."""
    names = CHAT_FIELDS if strict else (*CHAT_FIELDS, *FURTHER_CHATS)
    return next((name for name in names if as_turns(raw.get(name)) or (not strict and _texts(name, raw))), None)


def _texts(name: str, raw: dict[str, Any]) -> bool:
    """True if the field contains a dialogue as a list of texts. The first text is the user's."""
    value = raw.get(name)
    return (
        name in ("dialog", "dialogue", "data", "turns")
        and isinstance(value, list)
        and len(value) > 0
        and all(isinstance(text, str) and text.strip() for text in value)
    )


def _chat(value: Any) -> Chat:
    turns = as_turns(value) or (value if isinstance(value, list) else [])
    if turns and all(isinstance(turn, str) for turn in turns) and len(turns) > 1:
        turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns)]
    return read_chat(turns)


def _history(raw: dict[str, Any]) -> tuple[dict[str, str], ...]:
    """Earlier questions and answers in Alpaca's `history`: a list of pairs."""
    history = raw.get("history")
    pairs = history if isinstance(history, list) else []
    if not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in pairs
    ):
        return ()
    return tuple(
        {"role": role, "content": text.strip()}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    )


def _transcript(text: str) -> list[dict[str, str]]:
    """The turns of a text in which each turn begins with `Human:` or `Assistant:`."""
    parts = TRANSCRIPT.split(text)[1:]
    return [{"role": role, "content": said} for role, said in zip(parts[::2], parts[1::2], strict=True)]


def _with_answer(chat: Chat, name: str, raw: dict[str, Any], settings: Seeds) -> Chat:
    """The chat in the field `name`.

    If the chat has no answer, the answer is taken from other fields of the record.
    """
    if chat.answer is not None or chat.left_out:
        return chat
    return replace(chat, answer=_answer({key: value for key, value in raw.items() if key != name}, settings))


def _with_system(chat: Chat, raw: dict[str, Any], settings: Seeds) -> Chat:
    """Add the text of the record's system column as the first message, unless the chat has a system turn."""
    fields = _names(settings)
    named = fields.get("system")
    names = SYSTEM_FIELDS if named is None else (named,)
    given = next((value for name in names if isinstance(value := _value(raw, name), str) and value.strip()), "")
    if not given and named is None:
        given = _instruction(raw, chat)
    given = given.strip()
    if not given:
        return chat
    own = [message["content"] for message in chat.messages if message["role"] == "system"]
    if any(own):
        return chat if given in own else replace(chat, left_out=(*chat.left_out, "system"))
    rest = tuple(message for message in chat.messages if message["role"] != "system")
    return replace(chat, messages=({"role": "system", "content": given}, *rest))


def _instruction(raw: dict[str, Any], chat: Chat) -> str:
    """The text of the field `instruction`.

    The result is "" if the field has no text, or if one of the two texts instruction and question contains the other.
    """
    given = raw.get("instruction")
    if not isinstance(given, str) or len(chat.messages) != 1:
        return ""
    if any(isinstance(raw.get(name), list) for name in CHAT_FIELDS):
        return ""
    given, question = given.strip(), chat.messages[0]["content"]
    return "" if given in question or question in given else given


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _field(raw: dict[str, Any], named: str | None, usual: tuple[str, ...]) -> str | None:
    """The name of the field with the text.

    If the settings name a field, `named` is this field. If the settings name no field, the first field with a usual
    name that has text is used.
    """
    if named is not None:
        return named if _has(raw, named) else None
    return next((name for name in usual if isinstance(raw.get(name), str) and raw[name].strip()), None)


def _any_case(raw: dict[str, Any], usual: tuple[str, ...]) -> str | None:
    """The first field with a usual name that contains text. Upper and lower case of names do not matter."""
    lower = {name.lower().strip(): name for name in raw if isinstance(raw[name], str) and raw[name].strip()}
    return next((lower[name] for name in usual if name in lower), None)


def _answer(raw: dict[str, Any], settings: Seeds) -> str | None:
    """The original answer. The field holds a text, a list of texts (the first is used), or a list of turns."""
    fields = _names(settings)
    named = fields.get("answer", settings.answer_field)
    if named is not None:
        return _first(_value(raw, named))
    usual = _field(raw, None, ANSWER_FIELDS)
    if usual is not None:
        return _first(raw[usual])
    further = (_first(raw.get(name)) for name in (*ANSWER_FIELDS, *FURTHER_ANSWERS))
    found = next((answer for answer in further if answer), None)
    other = None if found else _any_case(raw, ANSWER_FIELDS)
    return _first(raw[other]) if other else found


def _first(value: Any) -> str | None:
    """The first text in the value of an answer field; None if there is no text."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, dict):
        return next((_first(value[key]) for key in ("text", "content", "value") if key in value), None)
    if not isinstance(value, list) or not value:
        return None
    turns = as_turns(value)
    if turns:
        return read_answer(turns)
    return next((item.strip() for item in value if isinstance(item, str) and item.strip()), None)


def _names(settings: Seeds) -> Mapping[str, str]:
    """Maps faq-tui's name of a field to its name in the file. Contains only the fields that the settings name."""
    return {str(ours): theirs for ours, theirs in (settings.fields or {}).items()}


def _has(raw: Mapping[str, Any], name: str) -> bool:
    return name in raw or _value(raw, name) is not None


def _value(raw: Mapping[str, Any], name: str) -> Any:
    """The field with this name.

    If there is no field with the name `a.b`, this name means the field b of the object in the field a.
    """
    if name in raw or "." not in name:
        return raw.get(name)
    value: Any = raw
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ShapeError(f"has {kind_of(value)} in {name}, not text")
    if not value.strip():
        raise ShapeError(f"has nothing in {name}")
    return value.strip()


def _optional(value: Any) -> str | None:
    return storable(str(value))[:200] if isinstance(value, str | int) and str(value) else None
