"""One streamed chat completion, whatever dialect the server speaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faq_tui.core.endpoints.think import ThinkStream, split_think
from faq_tui.core.settings import Sampling

if TYPE_CHECKING:
    from openai import AsyncOpenAI

REASONING_FIELDS = ("reasoning", "reasoning_content")  # vLLM, SGLang
DELTA_PERIOD_S = 0.25  # deltas of one reply are merged over this time

OnDelta = Callable[[str, str], None]


class BrokenStreamError(Exception):
    """The stream ended, or the server gave up, before the reply was whole: worth another try."""


class NotAnApiError(Exception):
    """A web page instead of a reply: something else listens at this URL, and another try cannot help."""


@dataclass(frozen=True)
class Reply:
    """A whole reply. Token counts are None where the server reports none."""

    reasoning: str
    answer: str
    finish_reason: str
    closed: bool  # False: a think block was opened and never closed
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
    dialect: str  # where the reasoning came from: a field's name, `inline`, or `none`


async def stream_chat(
    client: AsyncOpenAI,
    model: str,
    messages: list[dict[str, str]],
    sampling: Sampling,
    seed: int,
    extra: dict[str, Any],
    on_delta: OnDelta | None = None,
) -> Reply:
    """Ask once and read to the end. `extra` joins the request's body.

    Raises openai's errors, the transport's errors, BrokenStreamError and NotAnApiError.
    """
    started = time.monotonic()
    completions: Any = client.chat.completions  # its overloads know no server but one
    stream = await completions.create(
        model=model,
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=seed,
        extra_body={"top_k": sampling.top_k, "min_p": sampling.min_p, **extra},
    )
    growing = _Growing(on_delta)
    usage: Any = None
    async with stream:
        if stream.response.headers.get("content-type", "").startswith("text/html"):
            raise NotAnApiError
        async for chunk in stream:
            usage = getattr(chunk, "usage", None) or usage
            for choice in chunk.choices or ():
                if choice.index == 0:
                    growing.add(choice.delta, choice.finish_reason)
    return growing.reply(usage, time.monotonic() - started)


class _Growing:
    def __init__(self, on_delta: OnDelta | None) -> None:
        self.reasoning: list[str] = []
        self.content: list[str] = []
        self.field = ""
        self.finish_reason = ""
        self._split = ThinkStream()
        self._on_delta = on_delta
        self._pending = ["", ""]
        self._sent = time.monotonic()

    def add(self, delta: Any, finish_reason: str | None) -> None:
        self.finish_reason = finish_reason or self.finish_reason
        if delta is None:
            return
        for name in REASONING_FIELDS:
            text = getattr(delta, name, None)
            if isinstance(text, str) and text and self.field in ("", name):
                self.field = name
                self.reasoning.append(text)
                self._pending[0] += text
        if delta.content:
            self.content.append(delta.content)
            thought, said = ("", delta.content) if self.field else self._split.feed(delta.content)
            self._pending[0] += thought
            self._pending[1] += said
        now = time.monotonic()
        if self._on_delta and any(self._pending) and now - self._sent >= DELTA_PERIOD_S:
            self._on_delta(*self._pending)
            self._pending, self._sent = ["", ""], now

    def reply(self, usage: Any, seconds: float) -> Reply:
        if self.finish_reason in ("", "abort", "error"):
            raise BrokenStreamError(f"the stream ended with finish_reason {self.finish_reason or 'missing'}")
        if self._on_delta and any(self._pending):
            self._on_delta(*self._pending)
        content = "".join(self.content)
        if self.field:
            reasoning, answer, closed = "".join(self.reasoning).strip(), content.strip(), True
        else:
            reasoning, answer, closed = split_think(content)
        return Reply(
            reasoning=reasoning,
            answer=answer,
            finish_reason=self.finish_reason,
            closed=closed,
            prompt_tokens=getattr(usage, "prompt_tokens", None),
            completion_tokens=getattr(usage, "completion_tokens", None),
            seconds=round(seconds, 3),
            dialect=self.field or ("inline" if reasoning else "none"),
        )
