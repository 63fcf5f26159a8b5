"""A reply as it grows: reasoning and answer kept apart, whatever dialect the server speaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faq_tui.core.chat.dialects import ReasoningStream, response_fields, split_reasoning

MOST_CHARACTERS = 32_000_000  # of one reply: more is a server gone mad
DELTA_PERIOD_S = 0.1  # deltas of one reply are merged over this time,
MOST_CHARACTERS_PER_TOKEN = 8  # on average: longer text than this came in chunks of several tokens
DELTAS_PER_S = 400  # and over a longer one where all open replies together would give more

OnDelta = Callable[[str, str], None]


class BrokenStreamError(Exception):
    """The stream ended, or the server gave up, before the reply was whole: worth another try."""


@dataclass(frozen=True)
class Reply:
    """A whole reply. Token counts are None where the server reports none that can be true."""

    reasoning: str
    answer: str
    finish_reason: str
    closed: bool  # False: a think block was opened and never closed
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
    dialect: str  # where the reasoning came from: a field's name, `inline`, or `none`


class StreamedChoice:
    """One choice of a streamed completion."""

    open_now = 0  # of all clients in this process: they share the reader of their deltas

    def __init__(self, on_delta: OnDelta | None, ceiling: int | None = None) -> None:
        """`ceiling`: tokens after which the choice is cut off here, because the server was given no max_tokens."""
        self._ceiling = ceiling
        self._chunks = 0  # with text: a token each, or more
        self.cut = False  # at the ceiling
        self._reasoning: list[str] = []
        self._content: list[str] = []
        self._field = ""
        self._finish_reason = ""
        self._split = ReasoningStream()
        self._on_delta = on_delta
        self._pending = ["", ""]
        self._characters = 0
        self._sent = time.monotonic()

    @property
    def finished(self) -> bool:
        return bool(self._finish_reason)

    def add(self, delta: Any, finish_reason: Any) -> None:
        """Take one chunk's delta (or a whole message: the fields are the same)."""
        if self.cut:
            return
        if self._ceiling is not None and isinstance(delta, dict) and _has_text(delta):
            if max(self._chunks, self._characters // MOST_CHARACTERS_PER_TOKEN) >= self._ceiling:
                self.cut, self._finish_reason = True, "length"
                return
            self._chunks += 1
        if isinstance(finish_reason, str) and finish_reason:
            self._finish_reason = finish_reason
        if not isinstance(delta, dict):
            return
        for name in response_fields():
            text = delta.get(name)
            # A server that sends both fields sends the same text twice: the first one seen stays the one.
            if isinstance(text, str) and text and self._field in ("", name):
                self._field = name
                self._reasoning.append(text)
                self._pending[0] += text
                self._characters += len(text)
        said = delta.get("content")
        if isinstance(said, str) and said:
            self._content.append(said)
            self._characters += len(said)
            if self._on_delta:
                thought, shown = ("", said) if self._field else self._split.feed(said)
                self._pending[0] += thought
                self._pending[1] += shown
        if self._characters > MOST_CHARACTERS:
            raise BrokenStreamError(f"the reply passed {MOST_CHARACTERS} characters")
        if self._on_delta and (self._pending[0] or self._pending[1]):
            now = time.monotonic()
            if now - self._sent >= max(DELTA_PERIOD_S, StreamedChoice.open_now / DELTAS_PER_S):
                self._on_delta(*map(_whole, self._pending))
                self._pending, self._sent = ["", ""], now

    def reply(self, usage: Any, seconds: float, max_tokens: int) -> Reply:
        """Raises BrokenStreamError if it did not come to its end. A reply that was cut off here has no usage."""
        if self._finish_reason in ("", "abort", "error"):
            raise BrokenStreamError(f"the stream ended with finish_reason {self._finish_reason or 'missing'}")
        content = _whole("".join(self._content))
        if self._field:
            reasoning, answer, closed = _whole("".join(self._reasoning)).strip(), content.strip(), True
        else:
            reasoning, answer, closed = split_reasoning(content)
        if self._on_delta and any(self._pending):
            self._on_delta(*map(_whole, self._pending))
        usage = usage if isinstance(usage, dict) else {}
        completion = self._ceiling if self.cut else _count(usage.get("completion_tokens"))
        if completion is not None and (completion > max_tokens or (completion == 0 and (reasoning or answer))):
            completion = None
        return Reply(
            reasoning=reasoning,
            answer=answer,
            finish_reason=self._finish_reason,
            closed=closed,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=completion,
            seconds=round(seconds, 3),
            dialect=self._field or ("inline" if reasoning or not closed else "none"),
        )


def _has_text(delta: dict[str, Any]) -> bool:
    texts = (delta.get(name) for name in (*response_fields(), "content"))
    return any(isinstance(text, str) and text for text in texts)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _whole(text: str) -> str:
    """Halves of a character that JSON escapes brought in two chunks become one; a lone half a replacement mark."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
