"""Read a streamed chat completion: join its chunks into choices, and separate reasoning from answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from faq_tui.core.chat.dialects import ReasoningStream, response_fields, split_reasoning
from faq_tui.core.endpoints.chunks import MESSAGE, BrokenStreamError, chat_chunks
from faq_tui.core.endpoints.client import Client, message_of
from faq_tui.core.settings import Sampling

MOST_CHARACTERS = 32_000_000  # largest number of characters of a reply; a server that sends more is faulty
MOST_TOKENS = (1 << 31) - 1  # largest number of tokens of a reply whose request has no max_tokens
MOST_CHARACTERS_PER_TOKEN = 8  # if the average is higher, chunks held several tokens
DELTA_PERIOD_S = 0.1  # deltas of one reply are merged over this time
DELTAS_PER_S = 400  # limit for all open replies together; above this limit, deltas are merged over a longer time

# (new reasoning, new answer) -> None, or a finish_reason: then the stream is closed, and the reply gets this reason.
OnDelta = Callable[[str, str], str | None]


@dataclass(frozen=True)
class Reply:
    """A complete reply. A token count is None if the server reports no count, or an impossible count."""

    reasoning: str
    answer: str
    finish_reason: str
    closed: bool  # False if the reasoning has an opening tag but no closing tag
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
    dialect: str  # source of the reasoning: the name of the response's field, `inline`, or `none`


def chat_body(
    model: str, messages: list[dict[str, str]], sampling: Sampling, seed: int, extra: dict[str, Any]
) -> dict[str, Any]:
    """The body of a chat request whose response is not streamed. `extra` is added to it."""
    return {
        "model": model,
        "messages": messages,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": seed,
        # These parameters are not part of OpenAI's protocol; vLLM, SGLang and llama.cpp accept them at the top level.
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        **extra,
    }


def whole_reply(completion: Any, max_tokens: int) -> Reply:
    """The reply in a chat completion that was not streamed, such as a line of a batch file. Its `seconds` are 0.

    `completion` is parsed JSON of any kind. `max_tokens` is the limit in the request. Raises BrokenStreamError.
    """
    choices = Completion(None, 1)
    choices.take(completion, MESSAGE)
    choice = choices.choices.get(0)
    if choice is None:
        raise BrokenStreamError("the response has no answer")
    return choice.reply(choices.usage if choices.alone else None, 0.0, max_tokens)


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
    """Send one request, and read its reply to the end. `extra` is added to the request's body.

    With `cut_here`, the request has no max_tokens, so that the answer may fill the rest of the server's window. The
    stream is closed after sampling.max_tokens tokens; the finish_reason of the reply is then "length".

    Raises the transport's errors, StatusError, BrokenStreamError and NotAnApiError.
    """
    reply = (await stream_choices(client, model, messages, sampling, seed, extra, on_delta, cut_here)).get(0)
    if reply is None:
        raise BrokenStreamError("the stream ended without an answer")
    if isinstance(reply, BrokenStreamError):
        raise reply
    return reply


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
    """Like `stream_chat`, but for a request of several choices (`extra={"n": …}`).

    The result maps the index of each choice to its reply, or to the error that broke it. `on_delta` is called only
    for index 0. A server reports the usage of all choices together. Therefore a reply has token counts only if it
    is the only choice.
    """
    body = chat_body(model, messages, sampling, seed, extra)
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    if cut_here:
        body.pop("max_tokens", None)
    response_fields()  # if a dialect cannot be loaded, this raises an error before the request is sent
    started = time.monotonic()
    completion = Completion(on_delta, int(extra.get("n", 1)), sampling.max_tokens if cut_here else None)
    StreamedChoice.open_now += 1
    try:
        async with aclosing(chat_chunks(client, body)) as arriving:
            async for part, chunks in arriving:
                for chunk in chunks:
                    completion.take(chunk, part)
    except _CutError:
        pass
    except OSError:
        if not completion.whole:  # if every choice has its finish_reason, at most the usage is missing
            raise
    finally:
        StreamedChoice.open_now -= 1
    seconds = time.monotonic() - started
    replies: dict[int, Reply | BrokenStreamError] = {}
    for index, choice in sorted(completion.choices.items()):
        usage = completion.usage if completion.alone else None
        try:
            replies[index] = choice.reply(usage, seconds, MOST_TOKENS if cut_here else sampling.max_tokens)
        except BrokenStreamError as error:
            replies[index] = error
    return replies


class _CutError(Exception):
    """Every choice was cut off here, so the connection is closed at once."""


class Completion:
    """Builds the choices from a stream of chunks, or from one whole response if the server cannot stream."""

    def __init__(self, on_delta: OnDelta | None, expected: int, ceiling: int | None = None) -> None:
        """`expected` is the number of choices in the request. `StreamedChoice` explains `ceiling`."""
        self._ceiling = ceiling
        self.choices: dict[int, StreamedChoice] = {}
        self.usage: Any = None
        self.alone = expected == 1
        self._on_delta, self._expected = on_delta, expected

    @property
    def whole(self) -> bool:
        return bool(self.choices) and all(choice.finished for choice in self.choices.values())

    def take(self, chunk: Any, part: str) -> None:
        """Take one chunk, whose choices have a `delta` or a `message` as `part`. Raises BrokenStreamError."""
        if not isinstance(chunk, dict):
            raise BrokenStreamError("a chunk that is no JSON object")
        if chunk.get("error"):
            raise BrokenStreamError(message_of(chunk) or "an error in the stream")
        self.usage = chunk.get("usage") or self.usage
        choices = chunk.get("choices") or ()
        if not isinstance(choices, list | tuple):
            raise BrokenStreamError("choices that are no JSON list")
        for body in choices:
            if not isinstance(body, dict):
                raise BrokenStreamError("a choice that is no JSON object")
            index = body.get("index")
            index = index if isinstance(index, int) else 0
            if not 0 <= index < self._expected:  # more choices than the request asked for
                self.alone = False
                continue
            choice = self.choices.get(index)
            if choice is None:
                choice = self.choices[index] = StreamedChoice(
                    self._on_delta if index == 0 else None, self._ceiling if part == "delta" else None
                )
            choice.add(body.get(part), body.get("finish_reason"))
        if len(self.choices) == self._expected and all(choice.cut for choice in self.choices.values()):
            raise _CutError


class StreamedChoice:
    """One choice of a streamed completion, which grows with each chunk. Reasoning and answer are separate."""

    open_now = 0  # number of open choices of all clients in this process; one reader gets all their deltas

    def __init__(self, on_delta: OnDelta | None, ceiling: int | None = None) -> None:
        """This class cuts the choice off after `ceiling` tokens.

        `ceiling` is set if the request has no max_tokens.
        """
        self._ceiling = ceiling
        self._chunks = 0  # number of chunks with text; each chunk holds one or more tokens
        self.cut = False  # True if the choice was cut off here, at the ceiling or by `on_delta`
        self._cut_tokens = 0  # number of tokens of a choice that was cut off, perhaps estimated
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
    def _tokens_so_far(self) -> int:
        """The number of tokens, estimated from the chunks and characters, because the usage comes at the end."""
        return max(self._chunks, self._characters // MOST_CHARACTERS_PER_TOKEN)

    @property
    def finished(self) -> bool:
        return bool(self._finish_reason)

    def add(self, delta: Any, finish_reason: Any) -> None:
        """Add one chunk's delta, or a whole message, which has the same fields."""
        if self.cut:
            return
        has_room = self._ceiling is None or self._tokens_so_far < self._ceiling
        if self._ceiling is not None and not has_room and isinstance(delta, dict) and _has_text(delta):
            self.cut, self._finish_reason, self._cut_tokens = True, "length", self._ceiling
            return
        if isinstance(finish_reason, str) and finish_reason:
            self._finish_reason = finish_reason
        if not isinstance(delta, dict):
            return
        before = self._characters
        for name in response_fields():
            text = delta.get(name)
            # A server that sends both fields sends the same text twice, so only the field that came first is read.
            if isinstance(text, str) and text and self._field in ("", name):
                self._field = name
                self._reasoning.append(text)
                self._pending[0] += text
                self._characters += len(text)
        content = delta.get("content")
        if isinstance(content, str) and content:
            self._content.append(content)
            self._characters += len(content)
            if self._on_delta:
                reasoning, answer = ("", content) if self._field else self._split.feed(content)
                self._pending[0] += reasoning
                self._pending[1] += answer
        self._chunks += self._characters > before
        if self._characters > MOST_CHARACTERS:
            raise BrokenStreamError(f"the reply passed {MOST_CHARACTERS} characters")
        if self._on_delta and (self._pending[0] or self._pending[1]):
            now = time.monotonic()
            if now - self._sent >= max(DELTA_PERIOD_S, StreamedChoice.open_now / DELTAS_PER_S):
                ended = self._on_delta(*map(_whole, self._pending))
                self._pending, self._sent = ["", ""], now
                if ended and not self._finish_reason:
                    self.cut, self._finish_reason, self._cut_tokens = True, ended, self._tokens_so_far

    def reply(self, usage: Any, seconds: float, max_tokens: int) -> Reply:
        """The complete reply. Raises BrokenStreamError if the choice is incomplete.

        If this class cut the choice off, the server reports no usage. Then the token count is the ceiling or an
        estimate.
        """
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
        completion = self._cut_tokens if self.cut else _count(usage.get("completion_tokens"))
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
    """Join each surrogate pair into one character, even across two chunks; replace lone surrogates by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
