"""Chunks that repeat the whole text so far."""

from __future__ import annotations

import pytest

from faq_tui.core.endpoints.chat import Completion
from faq_tui.core.endpoints.chunks import DELTA
from faq_tui.core.endpoints.cumulative_text import CumulativeText

TEXT = "The sum is 42, as you can check."


def text_of(chunks: list[str]) -> str:
    growing = CumulativeText()
    for chunk in chunks:
        growing.new_part(chunk)
    return growing.text()


@pytest.mark.parametrize("step", [1, 5, 8])
def test_chunks_that_repeat_all_are_read_once(step: int) -> None:
    assert text_of([TEXT[: n + step] for n in range(0, len(TEXT), step)]) == TEXT


@pytest.mark.parametrize(
    "chunks",
    [
        ["ha", "haha", "hahaha"],
        ["1", "10", "100", "1000"],
        ["The", " sum", " is"],
        ["a", "a", "a", "a" * 30],
        ["The sum", "The sum", "The sum is 42, as you can check."],
        [TEXT],
        [],
    ],
)
def test_other_chunks_are_joined(chunks: list[str]) -> None:
    assert text_of(chunks) == "".join(chunks)


@pytest.mark.parametrize("field", ["content", "reasoning"])
def test_a_reply_whose_chunks_grow(field: str) -> None:
    completion = Completion(None, 1)
    chunks = [{field: TEXT[: n + 4]} for n in range(0, len(TEXT), 4)]
    for delta in [*chunks, {"content": "" if field == "content" else "yes"}]:
        completion.take({"choices": [{"index": 0, "delta": delta}]}, DELTA)
    completion.take({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, DELTA)
    reply = completion.choices[0].reply(None, 0.0, 100)
    assert (reply.answer if field == "content" else reply.reasoning) == TEXT
