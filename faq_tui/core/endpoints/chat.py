"""A streamed chat completion: chunks become choices, and reasoning and answer are kept apart in any dialect."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faq_tui.core.chat.dialects import ReasoningStream, response_fields, split_reasoning
from faq_tui.core.endpoints.client import Client
from faq_tui.core.endpoints.http import EventStream, ResponseHead
from faq_tui.core.settings import Sampling

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


__all__ = ["BrokenStreamError", "NotAnApiError", "OnDelta", "Reply", "StatusError", "stream_chat", "stream_choices"]

_decoded = json.JSONDecoder().decode  # json.loads looks at its input first, a hundred times a second and stream
MOST_ERROR_BYTES = 1 << 16
MOST_JSON_BYTES = 64 << 20
MOST_TOKENS = (1 << 31) - 1  # of a reply whose length the server was not asked to keep to


class NotAnApiError(Exception):
    """A web page instead of a reply: something else listens at this URL, and another try cannot help."""


class StatusError(Exception):
    """An HTTP status that is no success."""

    def __init__(
        self, status: int, message: str, retry_after: str | None = None, location: str | None = None
    ) -> None:
        super().__init__(f"HTTP {status} {message}".strip())
        self.status, self.message, self.retry_after, self.location = status, message, retry_after, location


async def stream_chat(
    client: Client,
    model: str,
    messages: list[dict[str, str]],
    sampling: Sampling,
    seed: int,
    extra: dict[str, Any],
    on_delta: OnDelta | None = None,
    cut_here: bool = False,
) -> Reply:
    """Ask once and read to the end. `extra` joins the request's body.

    `cut_here` leaves max_tokens out of the request, so that the server uses all the room that its window has. The
    stream is closed after sampling.max_tokens tokens, and the reply then has the finish_reason "length".

    Raises the transport's errors, StatusError, BrokenStreamError and NotAnApiError.
    """
    found = (await stream_choices(client, model, messages, sampling, seed, extra, on_delta, cut_here)).get(0)
    if found is None:
        raise BrokenStreamError("the stream ended without an answer")
    if isinstance(found, BrokenStreamError):
        raise found
    return found


async def stream_choices(
    client: Client,
    model: str,
    messages: list[dict[str, str]],
    sampling: Sampling,
    seed: int,
    extra: dict[str, Any],
    on_delta: OnDelta | None = None,
    cut_here: bool = False,
) -> dict[int, Reply | BrokenStreamError]:
    """The same for `extra={"n": …}`: index to reply, or why that one broke. `on_delta` hears of index 0 alone.

    The usage of a request is that of all its choices together, so it is told for a lone one only.
    """
    body = {
        "model": model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": seed,
        # Not in OpenAI's own protocol: vLLM, SGLang and llama.cpp take them at the top level.
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        **extra,
    }
    if cut_here:
        del body["max_tokens"]
    started = time.monotonic()
    sink = _Completion(on_delta, int(extra.get("n", 1)), sampling.max_tokens if cut_here else None)
    StreamedChoice.open_now += 1
    try:
        await client.post("/chat/completions", body, sink)
    except _CutError:
        pass
    except OSError:
        if not sink.whole:  # every choice had its finish_reason: what was cut off is the usage at most
            raise
    finally:
        StreamedChoice.open_now -= 1
    seconds = time.monotonic() - started
    found: dict[int, Reply | BrokenStreamError] = {}
    for index, growing in sorted(sink.choices.items()):
        usage = sink.usage if sink.alone else None
        try:
            found[index] = growing.reply(usage, seconds, MOST_TOKENS if cut_here else sampling.max_tokens)
        except BrokenStreamError as error:
            found[index] = error
    return found


class _CutError(Exception):
    """Every choice has reached the ceiling that is kept here: the connection is closed at once."""


class WholeResponse:
    """A response that is no stream: read whole, an error status raised."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._body = bytearray()

    def head(self, head: ResponseHead) -> None:
        self.status, self.headers = head.status, head.headers

    def body(self, data: bytes) -> bool:
        self._body += data
        if len(self._body) > (MOST_JSON_BYTES if self.status == 200 else MOST_ERROR_BYTES):
            raise NotAnApiError if self.status == 200 else self._refusal()
        return False

    def end(self) -> None:
        if self.status != 200:
            raise self._refusal()

    def json(self) -> Any:
        """The body. Raises NotAnApiError if it is no JSON."""
        try:
            return json.loads(self._body)
        except (ValueError, RecursionError):
            raise NotAnApiError from None

    def _refusal(self) -> StatusError:
        try:
            message = message_of(json.loads(self._body))
        except (ValueError, RecursionError):
            message = ""
        return StatusError(self.status, message, self.headers.get("retry-after"), self.headers.get("location"))


class _Completion(WholeResponse):
    """A stream of chunks; a server that cannot stream may answer whole."""

    def __init__(self, on_delta: OnDelta | None, wanted: int, ceiling: int | None = None) -> None:
        super().__init__()
        self._ceiling = ceiling
        self.choices: dict[int, StreamedChoice] = {}
        self.usage: Any = None
        self.alone = wanted == 1
        self._on_delta, self._wanted = on_delta, wanted
        self._events = EventStream()
        self._streams = self._begun = False

    @property
    def whole(self) -> bool:
        return bool(self.choices) and all(growing.finished for growing in self.choices.values())

    def head(self, head: ResponseHead) -> None:
        super().head(head)
        kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        if head.status == 200 and kind == "text/html":
            raise NotAnApiError
        self._streams = head.status == 200 and kind != "application/json"

    def body(self, data: bytes) -> bool:
        if not self._streams:
            return super().body(data)
        if not self._begun:
            self._begun = True
            if data.lstrip()[:1] == b"<":
                raise NotAnApiError
        try:
            events = self._events.feed(data)
        except ValueError as error:
            raise BrokenStreamError(str(error)) from None
        return any(self._take(event) for event in events)

    def end(self) -> None:
        if self._streams:
            for event in self._events.end():
                self._take(event)
            return
        super().end()
        body = self.json()
        if not isinstance(body, dict) or not ("choices" in body or "error" in body):
            raise NotAnApiError
        self._chunk(body, "message")

    def _take(self, event: bytes) -> bool:
        if event.strip() == b"[DONE]":
            return True
        try:
            self._chunk(_decoded(event.decode()), "delta")
        except ValueError:
            raise BrokenStreamError("a chunk that is no JSON") from None
        except RecursionError:
            raise BrokenStreamError("a chunk that nests too deep") from None
        return False

    def _chunk(self, chunk: Any, part: str) -> None:
        if not isinstance(chunk, dict):
            raise BrokenStreamError("a chunk that is no JSON object")
        if chunk.get("error"):
            raise BrokenStreamError(message_of(chunk) or "an error in the stream")
        self.usage = chunk.get("usage") or self.usage
        choices = chunk.get("choices") or ()
        if not isinstance(choices, list | tuple):
            raise BrokenStreamError("choices that are no JSON list")
        for choice in choices:
            if not isinstance(choice, dict):
                raise BrokenStreamError("a choice that is no JSON object")
            index = choice.get("index")
            index = index if isinstance(index, int) else 0
            if not 0 <= index < self._wanted:  # more choices than were asked for
                self.alone = False
                continue
            growing = self.choices.get(index)
            if growing is None:
                growing = self.choices[index] = StreamedChoice(
                    self._on_delta if index == 0 else None, self._ceiling if part == "delta" else None
                )
            growing.add(choice.get(part), choice.get("finish_reason"))
        if len(self.choices) == self._wanted and all(growing.cut for growing in self.choices.values()):
            raise _CutError


def message_of(body: Any) -> str:
    """The words in an error body of OpenAI, vLLM, SGLang, FastAPI or llama.cpp."""
    if not isinstance(body, dict):
        return ""
    inner = body.get("error", body)
    if isinstance(inner, dict):
        inner = next((inner[name] for name in ("message", "detail", "msg") if inner.get(name)), "")
    try:
        return " ".join(str(inner)[:MOST_ERROR_BYTES].split()) if inner else ""
    except RecursionError:
        return ""
