"""Compute how many tokens an answer may have.

The number is computed from the model's window and the prompt, or from a refusal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

# average number of bytes per token in all languages; it is 4 to 5 in English, so the estimate for English is too high
BYTES_PER_TOKEN = 3.0
TEMPLATE_TOKENS = 64  # a chat template adds about this number of tokens
LEAST_TOKENS = 16  # an answer needs at least this many tokens

# Examples of the messages that the patterns below match:
# vLLM: "maximum context length is 4096 tokens … you requested 5000 tokens (1000 in the messages, 4000 …"
# vLLM 0.26: "max_tokens=8192 cannot be greater than max_model_len=max_total_tokens=2048"
# SGLang: "maximum context length of 4096 tokens … requested a total of 5000 tokens: 1000 tokens from the input …"
# SGLang: "The input (5000 tokens) is longer than the model's context length (4096 tokens)."
# llama.cpp: "request (5000 tokens) exceeds the available context size (4096 tokens)"
_WINDOW = re.compile(
    r"(?:maximum context length (?:is|of)|(?:available context size|model's context length) \("
    r"|max_model_len=(?:max_total_tokens=)?)\D{0,4}(\d{1,9})",
    re.IGNORECASE,
)
# vLLM does not count all tokens of a prompt that is too long. A number after "at least" in vLLM's refusal is
# the window minus max_tokens, not the length of the prompt.
_PROMPT = re.compile(
    r"(?<!at least )\b(\d{1,9}) (?:tokens? )?(?:in|from) the (?:input )?(?:messages|prompt|input)"
    r"|(?:request|the input) \((\d{1,9}) tokens\)",
    re.IGNORECASE,
)
_ROOM = re.compile(
    r"context|max_(?:\w+_)?tokens|max_model_len|tokens? (?:budget|ceiling|limit)"
    r"|(?:token|input|prompt)s? [^.]{0,40}(?:too long|longer than|exceeds?)",
    re.IGNORECASE,
)
_PROMPT_ALONE = re.compile(r"even without any output tokens", re.IGNORECASE)


def prompt_tokens(messages: Iterable[Mapping[str, str]]) -> int:
    """An estimate of the number of tokens in the prompt. The estimate tends to be too high."""
    size = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
    return math.ceil(size / BYTES_PER_TOKEN) + TEMPLATE_TOKENS


def room(max_model_len: int | None, messages: Iterable[Mapping[str, str]]) -> int | None:
    """The number of tokens that are left for the answer, which may be 0 or less. None if the window is not known."""
    return None if max_model_len is None else max_model_len - prompt_tokens(messages)


def room_in_refusal(message: str) -> int | None:
    """The number of tokens that are left for the answer, computed from the message of a refusal.

    None if the message lacks the window or the prompt's length.
    """
    window, prompt = window_in_refusal(message), _PROMPT.search(message)
    return None if window is None or prompt is None else window - int(prompt[1] or prompt[2])


def window_in_refusal(message: str) -> int | None:
    """The model's window in tokens, from the message of a refusal. None if the message does not contain it."""
    match = _WINDOW.search(message)
    return None if match is None else int(match[1])


def is_about_room(message: str) -> bool:
    """True if a refusal mentions the context or max_tokens, so that a request with a lower max_tokens may succeed."""
    return _ROOM.search(message) is not None


def prompt_fills_window(message: str) -> bool:
    """True if a refusal says that the prompt alone is too long, so that no value of max_tokens can help."""
    left = room_in_refusal(message)
    return _PROMPT_ALONE.search(message) is not None or (left is not None and left <= 0)
