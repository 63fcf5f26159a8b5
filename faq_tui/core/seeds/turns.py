"""Read the messages and the answer of a seed from the turns of an exported chat.

A turn is an object with a role and a text, or a pair of a question and its answer. faq-tui knows several names for
each key of a turn. Turns without text are ignored. A chat is read up to its first tool call, because later turns
depend on the tool's reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.seeds.literals import python_literal
from faq_tui.core.seeds.media import media_in_part, media_in_text, media_of_fields, refuse_media
from faq_tui.core.seeds.reasons import NO_QUESTION, TOOLS, ShapeError

CHAT_FIELDS = ("messages", "conversations", "conversation")  # fields that hold the list of a chat's messages
_ROLE_NAMES = {
    "user": "user human usr prompter client customer question questioner",
    "assistant": "assistant gpt model chatgpt bot chatbot ai llm gpt4 gpt-4 claude bard answer",
    "system": "system developer system_prompt system_message",
    "tool": "tool function function_call function_response function_result tool_call tool_calls tool_response"
    " tool_result tool_output tools observation ipython code_interpreter environment",
}
ROLES = {name: role for role, names in _ROLE_NAMES.items() for name in names.split()}
ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
TEXT_KEYS = ("content", "value", "text", "message", "utterance", "parts")
CALL_KEYS = ("tool_calls", "function_call", "tool_call", "function_calls")
PAIRS = tuple(  # (key of the question, key of the answer) in a turn that holds both
    (question, answer)
    for question in ("human", "user", "input", "question", "instruction", "prompt")
    for answer in ("assistant", "gpt", "bot", "model", "output", "answer", "response")
)
CALL_STARTS = ("<tool_call>", "<functioncall>", "<function_call>")
LONGEST_JSON = 1 << 24  # a text with more characters than this is not parsed as JSON

Messages = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Chat:
    """The messages up to the last question, and the answer after it. `left_out` has keys of `reasons.LEFT_OUT`."""

    messages: Messages
    answer: str | None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Turn:
    role: str  # one of "user", "assistant", "system" and "tool"
    text: str


def read_chat(turns: Sequence[Any]) -> Chat:
    """Read the chat in `turns`. Raises ShapeError if it has no question, or if the question needs media."""
    read, nothing, cut = list[_Turn](), False, False
    tools = any(_role(turn) == "tool" for turn in turns)
    for raw in turns:
        for turn in _turns_in(raw):
            found = _read(turn, tools)
            if found is not None and found.role == "tool":
                cut = True
                break
            if found is not None:
                read.append(found)
            elif _role(turn) == "user":
                nothing = True
        if cut:
            break
    last_user = max((i for i, turn in enumerate(read) if turn.role == "user"), default=None)
    if last_user is None:
        if cut:
            raise ShapeError("calls a tool before the user has asked anything", TOOLS)
        if nothing:
            raise ShapeError("has a message without content")
        raise ShapeError("has no message of the user", NO_QUESTION)
    if not read[last_user].text:
        raise ShapeError("has an empty message of the user")
    after = read[last_user + 1 :]
    answer = after[0].text if after and after[0].role == "assistant" else ""
    messages = tuple({"role": turn.role, "content": turn.text} for turn in read[: last_user + 1])
    return Chat(messages, answer or None, (TOOLS,) if cut else ())


def read_answer(turns: Sequence[Any]) -> str | None:
    """The assistant's first text after the last question in `turns`; None if there is none, or if it needs media."""
    try:
        both = read_chat([{"role": "user", "content": "?"}, *turns])
    except ShapeError:
        return None
    return both.answer


def as_turns(value: Any) -> list[Any] | None:
    """The turns in a value that is certainly a chat. None for every other value.

    Three kinds of values are certainly a chat: a list of turns, an object with a list of roles and a list of texts,
    and a JSON text of such a list or object.
    """
    if isinstance(value, str):
        parsed = parsed_json(value)
        return None if parsed is None else as_turns(parsed)
    if isinstance(value, dict):
        inner = next((value[name] for name in CHAT_FIELDS if isinstance(value.get(name), list)), None)
        return _transposed(value) if inner is None else as_turns(inner)
    if not isinstance(value, list) or not value:
        return None
    turns = [_as_object(turn) for turn in value]
    known = [_role(turn) is not None or _pair(turn) is not None for turn in turns if isinstance(turn, dict)]
    return list(value) if len(known) == len(value) and any(known) else None


def parsed_json(text: str) -> Any:
    """The list or object that a JSON text contains; None for any other text.

    A list or an object that is written as a Python literal is read, too, because pandas writes such literals into
    tables.
    """
    text = text.strip()
    if not text.startswith(("[", "{")) or not text.endswith(("]", "}")) or len(text) > LONGEST_JSON:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return python_literal(text)


def kind_of(value: Any) -> str:
    """A value's type in words, such as `a list`."""
    names = {
        "NoneType": "nothing",
        "list": "a list",
        "dict": "an object",
        "str": "text",
        "bool": "a truth value",
    }
    return names.get(type(value).__name__, f"a {type(value).__name__}")


def _as_object(turn: Any) -> Any:
    """Convert a list of (key, value) pairs to an object. pyarrow reads a map in a Parquet file as such a list."""
    if isinstance(turn, list) and turn and all(isinstance(pair, tuple) and len(pair) == 2 for pair in turn):
        return dict(turn)
    return turn


def _transposed(value: Mapping[str, Any]) -> list[Any] | None:
    """Turns from an object of equally long lists, such as {"from": [...], "value": [...]}; None for other objects."""
    role = next((key for key in ROLE_KEYS if isinstance(value.get(key), list)), None)
    text = next((key for key in TEXT_KEYS if isinstance(value.get(key), list)), None)
    if role is None or text is None or len(value[role]) != len(value[text]):
        return None
    return [{"role": who, "content": what} for who, what in zip(value[role], value[text], strict=True)]


def _given_role(turn: Any) -> str | None:
    """The role exactly as the turn names it; None if the turn has no role."""
    if not isinstance(turn, dict):
        return None
    for key in ROLE_KEYS:
        given = turn.get(key)
        if isinstance(given, dict):  # exports of ChatGPT have {"author": {"role": "user"}}
            given = given.get("role")
        if isinstance(given, str):
            return given
    return None


def _role(turn: Any) -> str | None:
    given = _given_role(_as_object(turn))
    return None if given is None else ROLES.get(given.strip().lower())


def _pair(turn: Mapping[str, Any]) -> tuple[str, str] | None:
    """The keys of the question and the answer in a turn that holds both; None for other turns."""
    return next((pair for pair in PAIRS if all(isinstance(turn.get(key), str) for key in pair)), None)


def _turns_in(raw: Any) -> list[dict[str, Any]]:
    """The turns of one entry of the list.

    An entry that holds a question and its answer gives two turns, or three turns if it also has a system text.
    """
    turn = _as_object(raw)
    if not isinstance(turn, dict):
        raise ShapeError(f"has {kind_of(turn)} in its list of messages")
    given = _given_role(turn)
    if given is None:
        pair = _pair(turn)
        if pair is None:
            raise ShapeError("has no role")
        both = [{"role": "user", "content": turn[pair[0]]}, {"role": "assistant", "content": turn[pair[1]]}]
        system = turn.get("system")
        return [{"role": "system", "content": system}, *both] if isinstance(system, str) and system.strip() else both
    if _role(turn) is None:
        raise ShapeError(f"has a message of role {given[:40]!r}")
    return [turn]


def _read(turn: dict[str, Any], tools: bool) -> _Turn | None:
    """Read one turn; None if it is empty. `tools` is true if any turn of the chat belongs to a tool."""
    role = _role(turn) or ""
    if role == "tool" or (role == "assistant" and any(turn.get(key) for key in CALL_KEYS)):
        return _Turn("tool", "")
    refuse_media(media_of_fields(turn))
    content = next((turn[key] for key in TEXT_KEYS if turn.get(key) is not None), None)
    if content is None:
        return None
    text = _text_of(content)
    if text is None or (tools and role == "assistant" and text.startswith(CALL_STARTS)):
        return _Turn("tool", "")
    if role != "system":
        refuse_media(media_in_text(text))
    return _Turn(role, text)


def _text_of(content: Any) -> str | None:
    """A message's text. If the content is a list, its text parts are joined.

    The result is None if a part of the content belongs to a tool.

    Raises ShapeError for a part with media, and for content of an unknown type.
    """
    if isinstance(content, dict):
        content = next((content[key] for key in ("parts", "text", "content", "value") if key in content), content)
    if isinstance(content, str):
        return content.strip()
    if not isinstance(content, list):
        raise ShapeError(f"has a message whose content is {kind_of(content)}")
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        if not isinstance(part, dict):
            continue
        refuse_media(media_in_part(part))
        if str(part.get("type")).startswith(("tool_", "function_")):
            return None
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "\n".join(texts).strip()
