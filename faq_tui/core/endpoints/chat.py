"""Read a streamed chat completion: join the chunks into choices, and separate the reasoning from the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from faq_tui.core.base.secrets import NO_SECRETS, Secrets
from faq_tui.core.base.text import with_joined_surrogates
from faq_tui.core.chat.dialects import ReasoningStream, response_fields, split_reply
from faq_tui.core.endpoints.chunks import END, MESSAGE, BrokenStreamError, ErrorChunkError, chat_chunks, is_error
from faq_tui.core.endpoints.client import Client, StatusError
from faq_tui.core.endpoints.cumulative_text import CumulativeText
from faq_tui.core.endpoints.finish import FAILED, ending_of, finish_reason_of
from faq_tui.core.endpoints.message_parts import REFUSAL, THOUGHT, TOOL, pieces_of
from faq_tui.core.endpoints.pace import Pace
from faq_tui.core.endpoints.parameter_trials import ParameterTrials
from faq_tui.core.endpoints.request_body import chat_body, has_limit
from faq_tui.core.settings import Sampling

MOST_CHARACTERS = 32_000_000  # largest number of characters in a reply; a server that sends more is faulty
MOST_TOKENS = (1 << 31) - 1  # largest number of tokens in a reply if the request has no max_tokens

# if chunks have more characters than this on average, the number of tokens is estimated from the characters
MOST_CHARACTERS_PER_TOKEN = 8
# A chunk usually holds a token or more. If a request has a limit, but far more chunks come, the server ignores it.
SLACK = 256
DELTA_PERIOD_S = 0.1  # new text of a reply is collected for at least this time before `on_delta` gets it
DELTAS_PER_S = 400  # largest number of calls of `on_delta` per second, for all open replies together

# A function that is called with the new reasoning and the new answer. If the function returns a finish_reason, the
# stream is closed, and the reply gets this finish_reason.
OnDelta = Callable[[str, str], str | None]


@dataclass(frozen=True)
class Reply:
    """A complete reply. A token count is None if the server does not report it, or reports an impossible number."""

    reasoning: str
    answer: str
    finish_reason: str
    closed: bool  # False if the reasoning has no closing tag, although it has an opening tag
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
    dialect: str  # where the reasoning was: the name of a field of the response, `inline`, or `none`
    whole: bool = True  # False if the reply ended without a finish_reason, usage or [DONE]
    refusal: str = ""  # the text of the field `refusal`, if the model refuses to answer
    called_tool: bool = False
    left_out: tuple[str, ...] = ()  # parameters that were not sent because the server refuses them
    tries: int = 1  # number of requests that were sent until one was accepted


def whole_reply(completion: Any, max_tokens: int) -> Reply:
    """Read a chat completion that was not streamed, such as a line of a batch file. The reply's `seconds` are 0.

    `completion` is any parsed JSON. `max_tokens` is the limit in the request. Raises BrokenStreamError.
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

    With `cut_here`, the request has no max_tokens, so the server may fill its whole window. After
    sampling.most_tokens tokens, this function closes the stream, and the finish_reason of the reply is "length".

    Raises StatusError, BrokenStreamError, NotAnApiError and the errors of the transport.
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
    """Like `stream_chat`, but the request may ask for several choices (`extra={"n": …}`).

    The result maps the index of each choice to its reply. For a choice that cannot be read, the result holds an error
    instead of a reply. `on_delta` is called only for the choice with the index 0. A server reports the number of
    tokens of all choices together, so a reply has token counts only if it is the only choice.

    If the server refuses parameters of the request, the request is sent again at once without them. Later requests of
    this client do not have these parameters either. `ParameterTrials` handles refusals that name no parameter.
    """
    response_fields()  # if a dialect cannot be loaded, its error is raised here, before the request is sent
    learned, tries, refused = client.learned, 0, frozenset[str]()
    trials, tried = ParameterTrials(), frozenset[str]()
    while True:
        tries += 1
        used = learned.current.without(tried)
        body = chat_body(
            *(model, messages, sampling, seed, extra),
            endpoint=client.endpoint,
            capabilities=used,
            limited=not cut_here,
            stream=True,
        )
        try:
            replies = await _exchange(
                client, body, sampling.most_tokens, on_delta, partial(learned.accepted, used, tried)
            )
        except (StatusError, ErrorChunkError) as error:
            names = learned.refused(error.status, error.message, error.body, body)
            if names:
                refused |= names
                continue
            if isinstance(error, StatusError):
                trial = trials.next(error.status, error.message, body, learned.current)
                tried = trial or frozenset()
                if trial is not None:
                    continue
            learned.take_back(refused, error.message)
            raise
        whole = [
            replace(reply, left_out=used.left_out, tries=tries) if isinstance(reply, Reply) else reply
            for reply in replies.values()
        ]
        if len(whole) == 1 and isinstance(whole[0], Reply):
            learned.answered(whole[0].dialect, whole[0].completion_tokens is not None)
        return dict(zip(replies, whole, strict=True))


async def _exchange(
    client: Client,
    body: dict[str, Any],
    most_tokens: int,
    on_delta: OnDelta | None,
    on_accepted: Callable[[], None],
) -> dict[int, Reply | BrokenStreamError]:
    """Send one request and read its choices. `on_accepted` is called each time a part of the reply arrives.

    If the body has no limit of tokens, each choice is cut off after `most_tokens` tokens. If the server ignores the
    limit in the body, each choice is cut off later.
    """
    cut_here, expected = not has_limit(body), body.get("n", 1)
    started = time.monotonic()
    ceiling = most_tokens if cut_here else 2 * most_tokens + SLACK
    pace = Pace(client.longest_wait_s)
    completion = Completion(on_delta, expected if isinstance(expected, int) else 1, ceiling, client.secrets)
    StreamedChoice.open_now += 1
    try:
        async with aclosing(chat_chunks(client, body)) as arriving:
            async for part, chunks in arriving:
                completion.ended |= part == END
                for chunk in chunks:
                    completion.take(chunk, part)
                on_accepted()
                pace.check(sum(choice.characters for choice in completion.choices.values()))
    except _CutError:
        on_accepted()
    except OSError:
        if not completion.whole:  # if all choices are whole, only the usage can be missing, so the error is ignored
            raise
    finally:
        StreamedChoice.open_now -= 1
    seconds = time.monotonic() - started
    replies: dict[int, Reply | BrokenStreamError] = {}
    for index, choice in sorted(completion.choices.items()):
        usage = completion.usage if completion.alone else None
        choice.whole = client.stream_ends.shown(choice.finished, completion.ended and choice.begun)
        try:
            replies[index] = choice.reply(usage, seconds, MOST_TOKENS if cut_here else most_tokens)
        except BrokenStreamError as error:
            replies[index] = error
    return replies


class _CutError(Exception):
    """faq-tui has cut off every choice of the response, so the connection is closed at once."""


class Completion:
    """Builds the choices from a stream of chunks, or from one whole response if the server cannot stream."""

    def __init__(
        self, on_delta: OnDelta | None, expected: int, ceiling: int | None = None, secrets: Secrets = NO_SECRETS
    ) -> None:
        """`expected` is the number of choices in the request. `StreamedChoice` explains `ceiling` and `secrets`."""
        self._ceiling, self._secrets = ceiling, secrets
        self.choices: dict[int, StreamedChoice] = {}
        self.usage: Any = None
        self.ended = False  # True if the latest chunk or [DONE] shows that the response is complete
        self._usages = 0
        self.alone = expected == 1
        self._on_delta, self._expected = on_delta, expected

    @property
    def whole(self) -> bool:
        return bool(self.choices) and all(choice.finished for choice in self.choices.values())

    def take(self, chunk: Any, part: str) -> None:
        """Add one chunk. The text of a choice is in the field `part`: delta or message. Raises BrokenStreamError."""
        if not isinstance(chunk, dict):
            raise BrokenStreamError("a chunk is not a JSON object")
        if is_error(chunk):
            raise ErrorChunkError(
                self._secrets.masked_in(chunk), any(choice.begun for choice in self.choices.values())
            )
        if chunk.get("usage"):
            self.usage = chunk["usage"]
            self._usages += 1
            # Most servers send the usage only in the last chunk, so the first usage shows the end of the response. If
            # a chunk without a usage or a chunk with choices follows, the response had not ended.
            self.ended = self._usages == 1 or (self.ended and not chunk.get("choices"))
        else:
            self.ended = False
        choices = chunk.get("choices") or ()
        if not isinstance(choices, list | tuple):
            raise BrokenStreamError("the choices are not a JSON list")
        for body in choices:
            if not isinstance(body, dict):
                raise BrokenStreamError("a choice is not a JSON object")
            index = body.get("index")
            index = index if isinstance(index, int) else 0
            if not 0 <= index < self._expected:  # the server sent more choices than requested
                self.alone = False
                continue
            choice = self.choices.get(index)
            if choice is None:
                choice = self.choices[index] = StreamedChoice(
                    self._on_delta if index == 0 else None,
                    self._ceiling if part == "delta" else None,
                    self._secrets,
                )
            choice.add(choice.delta_of(body, part), finish_reason_of(body))
        if len(self.choices) == self._expected and all(choice.cut for choice in self.choices.values()):
            raise _CutError


class StreamedChoice:
    """One choice of a streamed completion. Each chunk adds text. Reasoning and answer are kept apart."""

    open_now = 0  # number of open choices of all clients in this process

    def __init__(self, on_delta: OnDelta | None, ceiling: int | None = None, secrets: Secrets = NO_SECRETS) -> None:
        """If `ceiling` is not None, this class cuts the choice off after `ceiling` tokens.

        `secrets` are masked in all texts, even if a secret comes in several chunks.
        """
        self._ceiling, self._secrets = ceiling, secrets
        self._chunks = 0  # number of chunks with text; each chunk holds one or more tokens
        self.cut = False  # True if faq-tui cut the choice off, because of `ceiling` or `on_delta`
        self._cut_tokens = 0  # number of tokens if the choice was cut off; may be an estimate
        self._reasoning, self._content = CumulativeText(), CumulativeText()
        self._field = ""
        self._finish_reason = ""
        self._refusal: list[str] = []
        self._called_tool = False
        self._by_part = False  # True after a chunk with the expected field, `delta` or `message`

        # the value for Reply.whole; None as long as it is unknown whether the reply is complete
        self.whole: bool | None = None
        self._split = ReasoningStream()
        self._on_delta = on_delta
        self._pending = ["", ""]
        self.characters = 0
        self._sent = time.monotonic()

    @property
    def begun(self) -> bool:
        return self.characters > 0

    @property
    def finished(self) -> bool:
        return bool(self._finish_reason)

    def add(self, delta: Any, finish_reason: str) -> None:
        """Add the delta of one chunk. A whole message has the same fields and can be added, too."""
        if self.cut:
            return
        pieces = pieces_of(delta) if isinstance(delta, dict) else []
        if pieces and (pieces[0].text or pieces[-1].text):
            if self._ceiling is not None and self._at_least() >= self._ceiling:
                self.cut, self._finish_reason, self._cut_tokens = True, "length", self._ceiling
                return
            self._chunks += 1
        if finish_reason:
            self._finish_reason = self._secrets.masked(finish_reason)
        for kind, text, name in pieces:
            if kind == THOUGHT:
                # If a reply has two fields with reasoning, both hold the same text. Only the field that came first is
                # read.
                if self._field in ("", name):
                    self._field = name
                    text = self._reasoning.new_part(text)
                    self._pending[0] += text
                    self.characters += len(text)
            elif kind == TOOL:
                self._called_tool = True
            elif kind == REFUSAL:
                self._refusal.append(text)
                self.characters += len(text)
            else:
                text = self._content.new_part(text)
                self.characters += len(text)
                if self._on_delta:
                    reasoning, answer = ("", text) if self._field else self._split.feed(text)
                    self._pending[0] += reasoning
                    self._pending[1] += answer
        if self.characters > MOST_CHARACTERS:
            raise BrokenStreamError(f"the reply passed {MOST_CHARACTERS} characters")
        if self._on_delta and (self._pending[0] or self._pending[1]):
            now = time.monotonic()
            if now - self._sent >= max(DELTA_PERIOD_S, StreamedChoice.open_now / DELTAS_PER_S):
                ready, held = zip(*(self._secrets.split(text) for text in self._pending), strict=True)
                ended = self._on_delta(*map(with_joined_surrogates, ready))
                self._pending, self._sent = list(held), now
                if ended and not self._finish_reason:
                    self.cut, self._finish_reason, self._cut_tokens = True, ended, self._at_least()

    def reply(self, usage: Any, seconds: float, max_tokens: int) -> Reply:
        """The complete reply. Raises BrokenStreamError if the choice is incomplete.

        A server reports no token count for a choice that this class has cut off; the choice's token count is then the
        ceiling or an estimate.
        """
        if (not self.finished and self.whole is None) or ending_of(self._finish_reason) == FAILED:
            raise BrokenStreamError(f"the stream ended with finish_reason {self._finish_reason or 'missing'}")
        content = self._shown(self._content.text())
        if self._field:
            reasoning, answer, closed = self._shown(self._reasoning.text()).strip(), content.strip(), True
        else:
            reasoning, answer, closed = split_reply(content)
        if self._on_delta and any(self._pending):
            self._on_delta(*map(self._shown, self._pending))
        usage = usage if isinstance(usage, dict) else {}
        completion = self._cut_tokens if self.cut else _count(usage.get("completion_tokens"))
        if completion is not None and (completion > max_tokens or (completion == 0 and (reasoning or answer))):
            completion = None
        # Without a finish_reason, only the length of the answer can show whether the answer was cut off.
        full = self._at_least() >= max_tokens if completion is None else completion >= max_tokens
        return Reply(
            reasoning=reasoning,
            answer=answer,
            finish_reason=self._finish_reason or ("length" if full else ""),
            closed=closed,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=completion,
            seconds=round(seconds, 3),
            dialect=self._field or ("inline" if reasoning or not closed else "none"),
            whole=self.whole is not False,
            refusal=self._shown("".join(self._refusal)),
            called_tool=self._called_tool,
        )

    def delta_of(self, body: dict[str, Any], part: str) -> Any:
        """The object that holds a choice's text: the delta in a chunk, or the message in a whole response.

        Some servers send `message` in a stream, `delta` in a whole response, or only the field `text`. Some servers
        send deltas and then repeat the whole text in a message. The repeated text is ignored.
        """
        delta = body.get(part)
        if delta or self._by_part:
            self._by_part = True
            return delta
        other = next((body[name] for name in ("delta", "message") if isinstance(body.get(name), dict)), None)
        text = body.get("text")
        return {"content": text} if other is None and isinstance(text, str) else other

    def _shown(self, text: str) -> str:
        return with_joined_surrogates(self._secrets.masked(text))

    def _at_least(self) -> int:
        """The least number of tokens that can have arrived so far."""
        return max(self._chunks, self.characters // MOST_CHARACTERS_PER_TOKEN)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None
