"""Parse one line of a batch's output file, in the forms of OpenAI, vLLM, SGLang and similar servers.

OpenAI and vLLM write {"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"}. The body is a
chat completion. Other servers leave out the status or put the completion elsewhere. SGLang writes a single choice
instead of a list of choices. The error is an object or a text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from faq_tui.core.endpoints.chat import Reply, whole_reply
from faq_tui.core.endpoints.chunks import BrokenStreamError
from faq_tui.core.endpoints.client import MOST_ERROR_BYTES, StatusError, message_of

DEEPEST = 4  # the completion may be nested in at most this many objects
# names of fields that may hold the completion, or an object that holds the completion
INSIDE = ("response", "body", "result", "data")


def is_same_model(asked: str, answered: Any) -> bool:
    """False only if the answer certainly comes from a model other than the requested one.

    `asked` is the model's name in the request, and `answered` is its name in the answer. Servers add folders,
    versions and dates to the name of a model.
    """
    if not isinstance(answered, str) or not answered.strip():
        return True
    one, other = (name.strip().rstrip("/").rpartition("/")[2].lower() for name in (asked, answered))
    return one in other or other in one


class UnreadableLineError(Exception):
    """The line holds no result of a batch. The message says why; it is shown after the line's number and a colon."""


@dataclass(frozen=True)
class BatchResult:
    """One line of an output file."""

    custom_id: str
    completion: dict[str, Any] | None  # the chat completion; None if the line has none
    status: int | None  # HTTP status code; None if the line has none
    error: str  # the server's message; "" if there is no error

    def reply(self, max_tokens: int) -> Reply:
        """The reply to a request with the limit `max_tokens`.

        Raises StatusError or BrokenStreamError, as a live request does, if the request failed or the reply is
        incomplete.
        """
        if self.status is not None and not 200 <= self.status < 300:
            raise StatusError(self.status, self.error)
        if self.error:
            raise BrokenStreamError(self.error)
        if self.completion is None:
            raise BrokenStreamError("the response has no answer")
        return whole_reply(self.completion, max_tokens)


def result_of(line: str) -> BatchResult:
    """Parse a line. Raises UnreadableLineError."""
    try:
        row = json.loads(line)
    except RecursionError:
        raise UnreadableLineError("its JSON is nested too deeply") from None
    except ValueError as error:
        whole = line.endswith("}")
        raise UnreadableLineError("not JSON" if whole else "cut off, or not JSON") from error
    if not isinstance(row, dict):
        raise UnreadableLineError("not a JSON object")
    if "method" in row and "response" not in row and "error" not in row:
        raise UnreadableLineError("a request, not an answer: give the output file of the batch")
    custom_id = row.get("custom_id")
    if not isinstance(custom_id, str):
        raise UnreadableLineError("it has no custom_id")
    layers = _layers(row)
    completion = next((layer for layer in layers if "choices" in layer), None)
    return BatchResult(custom_id, completion and _openai_form(completion), _status(layers), _error(layers))


def _layers(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that may hold the completion: first the line's own object, then the objects inside it."""
    layers = [row]
    while len(layers) <= DEEPEST and "choices" not in layers[-1]:
        inner = next((o for name in INSIDE if (o := _object(layers[-1].get(name))) is not None), None)
        if inner is None:
            break
        layers.append(inner)
    return layers


def _object(value: Any) -> dict[str, Any] | None:
    """Return `value` if it is a JSON object. A text that holds a JSON object is parsed. Otherwise return None."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _openai_form(completion: dict[str, Any]) -> dict[str, Any]:
    """Convert SGLang's form to OpenAI's form: a list of choices. The finish_reason of each choice is a text."""
    choices = completion["choices"]
    if isinstance(choices, dict):
        choices = [{**choices, "index": 0}]
    if not isinstance(choices, list):
        return completion
    return {**completion, "choices": [_finished(one) if isinstance(one, dict) else one for one in choices]}


def _finished(choice: dict[str, Any]) -> dict[str, Any]:
    reason = choice.get("finish_reason")
    return {**choice, "finish_reason": reason.get("type")} if isinstance(reason, dict) else choice


def _status(layers: list[dict[str, Any]]) -> int | None:
    for layer in layers:
        status = layer.get("status_code")
        if isinstance(status, str) and status.isascii() and status.isdecimal() and len(status) == 3:
            status = int(status)
        if isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 1000:
            return status
    return None


def _error(layers: list[dict[str, Any]]) -> str:
    for layer in layers:
        error = layer.get("error")
        if error:
            code = error.get("code") if isinstance(error, dict) else None
            return message_of({"error": error}) or message_of(error) or _text(code) or "an error without a message"
    # vLLM's older form of an error: {"object": "error", "message": …}
    inner = layers[-1]
    return message_of(inner) if "choices" not in inner and len(layers) > 1 else ""


def _text(value: Any) -> str:
    return value[:MOST_ERROR_BYTES] if isinstance(value, str) else ""
