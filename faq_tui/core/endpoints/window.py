"""How long an answer may be: prompt and answer share the model's window."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

BYTES_PER_TOKEN = 3.0  # of text in any language; English has 4 to 5, so this asks for a little less than there is
TEMPLATE_TOKENS = 64  # what a chat template adds
LEAST_TOKENS = 16  # less is no answer

# vLLM: "maximum context length is 4096 tokens. However, you requested 5000 tokens (1000 in the messages, 4000 …"
# SGLang: "maximum context length of 4096 tokens. You requested a total of 5000 tokens: 1000 tokens from the input …"
# llama.cpp: "request (5000 tokens) exceeds the available context size (4096 tokens)"
_WINDOW = re.compile(r"(?:maximum context length (?:is|of)|available context size \()\D{0,4}(\d{1,9})", re.IGNORECASE)
_PROMPT = re.compile(
    r"(\d{1,9}) (?:tokens? )?(?:in|from) the (?:input )?(?:messages|prompt|input)|request \((\d{1,9}) tokens\)",
    re.IGNORECASE,
)


def prompt_tokens(messages: Iterable[Mapping[str, str]]) -> int:
    """An estimate on the high side."""
    size = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
    return math.ceil(size / BYTES_PER_TOKEN) + TEMPLATE_TOKENS


def room(max_model_len: int | None, messages: Iterable[Mapping[str, str]]) -> int | None:
    """Tokens left for the answer (0 or less: none); None where the window is not known."""
    return None if max_model_len is None else max_model_len - prompt_tokens(messages)


def room_told(message: str) -> int | None:
    """What a server's refusal of a too long request says is left for the answer; None if it is another refusal."""
    window, prompt = _WINDOW.search(message), _PROMPT.search(message)
    if window is None or prompt is None:
        return None
    return int(window[1]) - int(prompt[1] or prompt[2])
