"""Where servers put the answer and the reasoning of a delta or a message."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints.chat import Completion, Reply
from faq_tui.core.endpoints.chunks import DELTA, MESSAGE, BrokenStreamError
from faq_tui.core.endpoints.message_parts import pieces_of
from faq_tui.core.regenerating import flags_of

THOUGHT, ANSWER = "Ten and ten are twenty.", "It is 20."


def whole(choices: list[dict[str, Any]], part: str = DELTA) -> Reply:
    taken = Completion(lambda *_: None, 1)
    for choice in choices:
        taken.take({"choices": [{"index": 0, **choice}]}, part)
    return taken.choices[0].reply(None, 0.0, 100)


def reply_of(message: dict[str, Any]) -> Reply:
    return whole([{"message": message, "finish_reason": "stop"}], MESSAGE)


def thinking(text: Any) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text}


MESSAGES: list[dict[str, Any]] = [
    {"content": [thinking(THOUGHT), {"type": "text", "text": ANSWER}]},
    {"content": [thinking([{"type": "text", "text": THOUGHT[:9]}, {"type": "text", "text": THOUGHT[9:]}]), ANSWER]},
    {"content": [{"type": "reasoning", "text": THOUGHT}, {"type": "output_text", "text": ANSWER}]},
    {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}, {"text": ANSWER}]},
    {"content": [{"text": THOUGHT, "thought": True}, {"type": "text", "text": {"value": ANSWER, "annotations": []}}]},
    {
        "content": ANSWER,
        "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}, {"type": "x", "data": "y"}],
    },
    {"content": ANSWER, "reasoning_details": [{"type": "reasoning.summary", "summary": THOUGHT}]},
    {"content": ANSWER, "reasoning": THOUGHT, "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]},
    {"content": ANSWER, "reasoning": THOUGHT, "reasoning_content": THOUGHT, "thinking": THOUGHT, "role": "assistant"},
    {"content": ANSWER, "reasoning": {"content": THOUGHT}},
    {"content": ANSWER, "thinking_blocks": [thinking(THOUGHT)]},
    *({"content": ANSWER, name: THOUGHT} for name in ("thinking", "thought", "reasoning_text", "thinking_content")),
    {"content": {"type": "text", "text": ANSWER}, "reasoning_content": THOUGHT},
]


@pytest.mark.parametrize("message", MESSAGES)
def test_reasoning_and_answer_are_found(message: dict[str, Any]) -> None:
    reply = reply_of(message)
    assert (reply.reasoning, reply.answer, reply.dialect != "none") == (THOUGHT, ANSWER, True)
    delta = whole([{"delta": {"role": "assistant"}}, {"delta": message}, {"delta": {}, "finish_reason": "stop"}])
    assert (delta.reasoning, delta.answer) == (THOUGHT, ANSWER)


def test_parts_that_arrive_in_pieces() -> None:
    deltas: list[dict[str, Any]] = [
        {"content": [thinking([{"type": "text", "text": THOUGHT[:9]}])]},
        {"content": [thinking([{"type": "text", "text": THOUGHT[9:]}])]},
        {"content": ANSWER[:4]},
        {"content": [{"type": "text", "text": ANSWER[4:]}]},
    ]
    reply = whole([{"delta": delta} for delta in deltas] + [{"delta": {}, "finish_reason": "stop"}])
    assert (reply.reasoning, reply.answer, reply.dialect) == (THOUGHT, ANSWER, "content")


def test_a_flag_beside_the_content_marks_it_as_reasoning() -> None:
    deltas = [
        {"content": THOUGHT, "extra_content": {"google": {"thought": True}}},
        {"content": ANSWER, "extra_content": {"google": {"thought_signature": "x"}}},
    ]
    reply = whole([{"delta": deltas[0]}, {"delta": deltas[1], "finish_reason": "stop"}])
    assert (reply.reasoning, reply.answer) == (THOUGHT, ANSWER)


@pytest.mark.parametrize(
    "choices",
    [
        [{"message": {"content": ANSWER[:4]}}, {"message": {"content": ANSWER[4:]}, "finish_reason": "stop"}],
        [{"delta": None, "text": ANSWER[:4]}, {"text": ANSWER[4:], "finish_reason": "stop"}],
        [{"delta": {"content": ANSWER}}, {"message": {"content": ANSWER}, "finish_reason": "stop"}],
        [{"delta": {"content": ANSWER}}, {"delta": {}, "message": {"content": ANSWER}, "finish_reason": "stop"}],
    ],
)
def test_an_answer_beside_the_deltas_is_read_once(choices: list[dict[str, Any]]) -> None:
    assert whole(choices).answer == ANSWER


@pytest.mark.parametrize(
    ("message", "flags"),
    [
        ({"content": None, "refusal": "I cannot do that."}, {"refusal", "empty"}),
        ({"content": [{"type": "refusal", "refusal": "I cannot do that."}]}, {"refusal", "empty"}),
        ({"content": ANSWER, "refusal": None, "tool_calls": None, "function_call": None}, set()),
        ({"content": ANSWER, "tool_calls": [{"id": "a", "function": {"name": "add"}}]}, {"tool_call"}),
        ({"content": None, "function_call": {"name": "add", "arguments": ""}}, {"tool_call", "empty"}),
        ({"content": [{"type": "text", "text": ANSWER}, {"type": "tool_use", "name": "add"}]}, {"tool_call"}),
        ({"content": [{"type": "image_url", "image_url": {}}]}, {"empty"}),
    ],
)
def test_what_is_no_answer_is_flagged(message: dict[str, Any], flags: set[str]) -> None:
    reply = reply_of(message)
    assert set(flags_of(reply, reply.reasoning, reply.answer)) == flags


KEYS = ["type", "text", "thinking", "content", "reasoning", "summary", "thought", "refusal", "tool_calls", "google"]
LEAF = st.sampled_from([None, True, 0, "", "a", "text", "thinking"])
PART = st.dictionaries(st.sampled_from(KEYS), LEAF | st.lists(LEAF, max_size=2), max_size=4)
ANY_JSON = LEAF | PART | st.lists(LEAF | PART, max_size=3)


@given(st.dictionaries(st.sampled_from([*KEYS, "extra_content", "reasoning_details"]), ANY_JSON, max_size=5))
def test_any_delta_can_be_read(delta: dict[str, Any]) -> None:
    assert all(isinstance(piece.text, str) for piece in pieces_of(delta))
    with contextlib.suppress(BrokenStreamError):
        whole([{"delta": delta, "finish_reason": "stop"}])


def test_parts_that_nest_too_deep_have_no_text() -> None:
    deep: Any = "x"
    for _ in range(50_000):
        deep = [deep]
    assert list(pieces_of({"content": [thinking(deep)], "reasoning": deep})) == []
