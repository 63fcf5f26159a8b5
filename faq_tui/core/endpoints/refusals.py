"""Find out which parameters a server refuses, from the body of the server's refusal.

Servers describe a refusal in many ways. OpenAI and Azure use `param` and `code`. vLLM, Mistral, Anthropic and others
use pydantic's `loc` and `type`. Most servers write only a sentence, which may repeat the text of another error. A
refusal may be hostile, so this module reads any JSON in a bounded time, and raises no exception.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.text import bracket_depth
from faq_tui.core.endpoints.refusal_words import (
    ABOUT_ROOM,
    ACCEPTED_FOLLOW,
    CODE_OF_REFUSAL,
    FIXED_VALUE,
    NAME_FOLLOWS,
    NOT_BOTH,
    OUT_OF_BOUNDS,
    REFUSES,
    SENTENCE_END,
    WANTED_LIMIT,
    WORD,
)

MOST_NODES, DEEPEST, LONGEST_TEXT = 2000, 12, 8000
MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"
LIMITS = frozenset({MAX_TOKENS, MAX_COMPLETION_TOKENS})
KEPT = frozenset({"model", "messages"})  # every request needs these parameters

# These names of parameters are also common English words. In a sentence, one of these words is the name of a
# parameter only if it is in quotes or follows a word such as "parameter".
COMMON_WORDS = frozenset({"stream", "n", "stop", "user", "store", "metadata", "tools", "prediction"})
# These parameters may be left out, no matter which value they have. These parameters do not change the distribution
# from which the reply is sampled.
FREE = frozenset({"seed", "stream", "stream_options", "chat_template_kwargs", "user", "store", "metadata"})
# Values that mean the same as a missing parameter.
NEUTRAL: Mapping[str, tuple[float, ...]] = {
    "top_k": (-1, 0),
    "min_p": (0,),
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
}
NOT_IN_GREEDY = frozenset({"top_p", "top_k", "min_p"})  # these parameters have no effect at temperature 0

# Parameters that many servers do not know. These parameters are also left out if a refusal names them and no pattern
# matches the refusal.
OFTEN_UNKNOWN = FREE | {"top_k", "min_p"}
ECHOES = frozenset({"input", "ctx", "url", "request", "received", "body_sent", "documentation_url", "input_value"})
NAMING = (
    *("param", "parameter", "field", "property", "argument", "key", "additionalProperty", "name"),
    *("path", "pointer", "instancePath", "propertyName", "parameterName", "fieldName"),
)
CODES = ("code", "type", "error_type", "reason", "keyword", "error_code")
MESSAGES = ("message", "msg", "detail", "description", "error", "title", "reason")
# Servers may put the name of an object before the name of a parameter, as in "body.top_k".
PREFIXES = frozenset(
    {"body", "request", "req", "params", "parameters", "parameter", "extrabody", "generationconfig", "samplingparams"}
    | {"data", "json", "root", "options", "input", "inputs", "args", "kwargs", "config", "payload", "query"}
    | {"samplingparameters", "chatcompletionrequest"}
)
# if the server refuses a key inside one of these parameters, the whole parameter is left out
CHILDREN = {"chat_template_kwargs", "stream_options"}
ALIASES = {"randomseed": "seed", "thinking": "chat_template_kwargs", "enablethinking": "chat_template_kwargs"}


@dataclass(frozen=True)
class _Complaint:
    """A text in a refusal.

    `name` is the name of a parameter in the same JSON object, or "". `code` is the error code in this object, or "".
    """

    text: str
    name: str = ""
    code: str = ""


def refused_parameters(body: Any, sent: Mapping[str, Any]) -> frozenset[str]:
    """The parameters of the request `sent` that the server does not accept.

    `body` is the refusal, as parsed JSON or as a text. If a server refuses only the value of a parameter, the
    parameter is in the result only in two cases: the value means the same as a missing parameter, or the server
    accepts only one value for the parameter. "max_tokens" is in the result if the server wants
    "max_completion_tokens" instead. "max_tokens" is not in the result if only its value is too large for the window.
    If no pattern matches the refusal, the result holds the parameters in OFTEN_UNKNOWN that the refusal names.
    """
    names = _Names(sent)
    refused: set[str] = set()
    complaints = list(_complaints(body))
    for complaint in complaints:
        refused |= _refused_in(complaint, names, sent)
    if not refused:
        refused = set().union(*(_only_named(complaint, names) for complaint in complaints))
    return frozenset(refused)


class _Names:
    """Finds the names of sent parameters, in any spelling."""

    def __init__(self, sent: Mapping[str, Any]) -> None:
        self._by_spelling = {_plain(name): name for name in sent if name not in KEPT}
        for parent in CHILDREN & sent.keys():
            value = sent[parent]
            for child in value if isinstance(value, dict) else ():
                self._by_spelling.setdefault(_plain(str(child)), parent)
        for alias, name in ALIASES.items():
            if name in sent:
                self._by_spelling.setdefault(alias, name)

    def named(self, word: str) -> str | None:
        """The parameter that `word` means; for example, `word` is "top_k", "topK" or "body.top_k"."""
        for part in re.split(r"[./\[\]]+", word):
            plain = _plain(part)
            if plain in self._by_spelling:
                return self._by_spelling[plain]
            if plain and plain not in PREFIXES:
                return None
        return None

    def in_sentence(self, text: str) -> list[str]:
        """The parameters that a sentence names, in the order in which it names them."""
        found: dict[str, None] = {}
        for match in WORD.finditer(text):
            name = self.named(match[0].strip(".-"))
            if name is None:
                continue
            before = text[: match.start()]
            if name in COMMON_WORDS and before[-1:] not in "'\"`" and not NAME_FOLLOWS.search(before[-40:]):
                continue
            found[name] = None
        return list(found)


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _refused_in(complaint: _Complaint, names: _Names, sent: Mapping[str, Any]) -> set[str]:
    refused: set[str] = set()
    text = complaint.text
    limit = next(iter(LIMITS & sent.keys()), None)
    if limit is not None and not ABOUT_ROOM.search(text):
        wanted = {found for match in WANTED_LIMIT.finditer(text) for found in match.groups() if found}
        if {name.lower() for name in wanted} == LIMITS - {limit}:
            refused.add(limit)
    name = names.named(complaint.name) if complaint.name else None
    if name is not None and _is_refused(name, text, complaint.code, sent, alone=True):
        refused.add(name)
    for sentence in SENTENCE_END.split(text):
        bare = ACCEPTED_FOLLOW.sub(" ", sentence)
        found = names.in_sentence(bare)
        if len(found) > 1 and NOT_BOTH.search(sentence) and (REFUSES.search(sentence) or "only one" in sentence):
            keep = "temperature" if "temperature" in found else found[0]
            refused |= {other for other in found if other != keep}
            continue
        refused |= {other for other in found if _is_refused(other, bare, "", sent)}
    return refused


def _only_named(complaint: _Complaint, names: _Names) -> set[str]:
    """The parameters in OFTEN_UNKNOWN that a refusal names, although no pattern matches the refusal.

    For example, the refusal may be in a language other than English. If the refusal is about a value, the result is
    empty.
    """
    if OUT_OF_BOUNDS.search(complaint.text) or ABOUT_ROOM.search(complaint.text):
        return set()
    found = set(names.in_sentence(ACCEPTED_FOLLOW.sub(" ", complaint.text)))
    if complaint.name:
        found |= {name for name in [names.named(complaint.name)] if name is not None}
    return found & OFTEN_UNKNOWN


def _is_refused(name: str, text: str, code: str, sent: Mapping[str, Any], alone: bool = False) -> bool:
    """True if the text says that the parameter `name` is not accepted.

    `alone` is true if the refusal names the parameter in a separate field. If `alone` is true, the text need not say
    that the parameter is refused.
    """
    if name in LIMITS and ABOUT_ROOM.search(text):
        return False
    if name == "response_format" and OUT_OF_BOUNDS.search(text):
        return True
    if CODE_OF_REFUSAL.search(code) and not (OUT_OF_BOUNDS.search(text) and not REFUSES.search(text)):
        return True
    if FIXED_VALUE.search(text):
        return True
    if OUT_OF_BOUNDS.search(text):
        return _is_neutral(name, sent) or (bool(REFUSES.search(text)) and name in FREE)
    if REFUSES.search(text):
        return True
    return alone and (_is_neutral(name, sent) or name in FREE or name in NOT_IN_GREEDY - {"top_p"})


def _is_neutral(name: str, sent: Mapping[str, Any]) -> bool:
    value = sent.get(name)
    if isinstance(value, int | float) and value in NEUTRAL.get(name, ()):
        return True
    return name in NOT_IN_GREEDY and sent.get("temperature") == 0


def _complaints(body: Any) -> Iterator[_Complaint]:
    """The texts of a refusal. Texts that repeat the request are left out."""
    pending: list[tuple[Any, int, str, str]] = [(body, 0, "", "")]
    for _ in range(MOST_NODES):
        if not pending:
            return
        node, depth, name, code = pending.pop()
        if depth > DEEPEST:
            continue
        if isinstance(node, str):
            text = node[:LONGEST_TEXT]
            before, value = _parsed(text)
            yield _Complaint(before, name, code)
            pending.append((value, depth + 1, "", ""))
        elif isinstance(node, dict):
            name, code = _name_in(node), " ".join(str(node[key])[:80] for key in CODES if _is_word(node.get(key)))
            texts = [key for key in MESSAGES if isinstance(node.get(key), str)]
            if name and not texts:
                yield _Complaint("", name, code)
            for key, value in list(node.items())[:MOST_NODES]:
                if key in texts:
                    pending.append((value, depth + 1, name, code))
                elif key not in ECHOES and isinstance(value, dict | list | tuple):
                    pending.append((value, depth + 1, "", ""))
        elif isinstance(node, list | tuple):
            pending += [(value, depth + 1, "", "") for value in node[:MOST_NODES]]


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 200


def _name_in(node: Mapping[str, Any]) -> str:
    """The name of a parameter in an object of a refusal, from OpenAI's `param` or pydantic's `loc`."""
    loc = node.get("loc")
    if isinstance(loc, list | tuple):
        parts = [str(part)[:100] for part in loc[:DEEPEST] if isinstance(part, str)]
        return ".".join(parts)
    return next((str(node[key])[:200] for key in NAMING if isinstance(node.get(key), str) and node[key]), "")


def _parsed(text: str) -> tuple[str, Any]:
    """Return (the text, the errors in the text).

    The errors are the value of a JSON or Python literal in the text. Without a literal, the errors are None.

    If the text repeats the request, the repetition is cut off.
    """
    starts = [start for start in (text.find("{"), text.find("[")) if start >= 0]
    value = _literal(text[min(starts) :]) if starts else None
    if not isinstance(value, dict | list | tuple):
        return text, None
    items = [item for item in (value if isinstance(value, list | tuple) else [value]) if isinstance(item, dict)]
    if any(key in item for item in items for key in (*MESSAGES, "loc")):
        return text[: min(starts)], value
    return (text[: min(starts)] if any("messages" in item for item in items) else text), None


def _literal(text: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        pass
    # A text that is nested deeply or contains "--" is not parsed, because it could crash Python's parser.
    if bracket_depth(text) > DEEPEST or "--" in text:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.literal_eval(text[: max(text.rfind("}"), text.rfind("]")) + 1])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, SystemError):
        return None
