"""Lines of output files: the forms of several servers, and lines that hold nothing of use."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints.chat import Reply
from faq_tui.core.endpoints.chunks import BrokenStreamError
from faq_tui.core.endpoints.client import StatusError
from faq_tui.core.regenerating.batch.answers import UnreadableLineError, is_same_model, result_of
from tests.support.batch_runner import FORMS, completion, refusal, result_line
from tests.support.paths import ROOT

ID = "faq-elder-0123456789ab-1-0123456789abcdef"
ANSWER = completion("It is a river.", "Let me think.")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def reply_of(row: Any, max_tokens: int = 100) -> Reply:
    return result_of(json.dumps(row)).reply(max_tokens)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_reply(form: str) -> None:
    result = result_of(json.dumps(result_line(ID, ANSWER, form)))
    assert result.custom_id == ID
    assert result.reply(100) == Reply(
        "Let me think.", "It is a river.", "stop", True, 11, 21, 0.0, "reasoning_content"
    )


@pytest.mark.parametrize(
    "row",
    [
        {"response": ANSWER},
        {"response": {"body": json.dumps(ANSWER)}},
        {"response": json.dumps({"status_code": "200", "body": ANSWER})},
        {"response": {"status_code": 200, "body": {"body": ANSWER}}, "error": {}},
        {"result": {"data": ANSWER}, "error": ""},
        {**ANSWER, "status_code": 201},
    ],
)
def test_completions_in_unusual_places(row: dict[str, Any]) -> None:
    assert reply_of({"custom_id": ID, **row}).answer == "It is a river."


def test_sglang_may_write_the_finish_reason_as_an_object() -> None:
    row = result_line(ID, ANSWER, "sglang")
    row["response"]["body"]["choices"] |= {"index": 3, "finish_reason": {"type": "length", "length": 100}}
    assert reply_of(row).finish_reason == "length"


def test_reasoning_in_tags_and_counts_that_cannot_be_true() -> None:
    row = result_line(ID, completion("<think>\nwell\n</think>\n\nyes", usage=(5, 101)))
    reply = reply_of(row)
    assert (reply.reasoning, reply.answer, reply.dialect) == ("well", "yes", "inline")
    assert (reply.prompt_tokens, reply.completion_tokens) == (5, None)


@pytest.mark.parametrize("form", FORMS)
def test_a_refused_request(form: str) -> None:
    row = result_line(ID, refusal("no room", 422), form)
    with pytest.raises(BrokenStreamError if form == "bare" else StatusError) as raised:
        reply_of(row)
    assert raised.value.args[0].endswith("no room")
    assert not isinstance(raised.value, StatusError) or raised.value.status == 422


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"response": None, "error": {"code": "batch_expired", "message": "expired"}}, "expired"),
        ({"response": None, "error": {"code": "batch_cancelled"}}, "batch_cancelled"),
        ({"response": None, "error": {"error": {"message": "inner"}}}, "inner"),
        ({"response": None, "error": "as a text"}, "as a text"),
        ({"response": None, "error": [7]}, "[7]"),
        ({"response": {"status_code": 400, "body": None}, "error": "vLLM's text"}, "HTTP 400 vLLM's text"),
        ({"response": {"status_code": 500, "body": {"object": "error", "message": "old"}}}, "HTTP 500 old"),
        ({"response": {"status_code": 503}}, "HTTP 503"),
        ({"response": {"status_code": 200, "body": ANSWER}, "error": {"message": "both"}}, "both"),
        ({"response": {"status_code": 200, "body": None}}, "the response has no answer"),
        ({"response": None, "error": None}, "the response has no answer"),
        ({"response": {"body": {"choices": []}}}, "the response has no answer"),
        ({"response": {"body": {"choices": "two"}}}, "the choices are not a JSON list"),
        ({"response": {"body": {"choices": [None]}}}, "a choice is not a JSON object"),
        ({"response": {"body": completion("x", finish="")}}, "the stream ended with finish_reason missing"),
        ({"response": {"body": completion("x", finish="abort")}}, "the stream ended with finish_reason abort"),
    ],
)
def test_lines_without_an_answer(row: dict[str, Any], said: str) -> None:
    with pytest.raises((BrokenStreamError, StatusError)) as raised:
        reply_of({"custom_id": ID, **row})
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"custom_id": "faq-el', "cut off, or not JSON"),
        ("{custom_id}", "not JSON"),
        ("[]", "not a JSON object"),
        ("NaN", "not a JSON object"),
        ("{}", "it has no custom_id"),
        ('{"custom_id": 7, "response": {}}', "it has no custom_id"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "its JSON is nested too deeply"),
        ('{"custom_id": "a", "n": ' + "9" * 5000 + "}", "not JSON"),
        (json.dumps({"custom_id": ID, "method": "POST", "url": "/v1", "body": {}}), "a request, not an answer"),
    ],
)
def test_unreadable_lines(line: str, said: str) -> None:
    with pytest.raises(UnreadableLineError, match=f"^{said}"):
        result_of(line)


@given(JSON, JSON, JSON, JSON)
def test_any_json_is_an_answer_a_failure_or_unreadable(response: Any, body: Any, choices: Any, error: Any) -> None:
    for row in (
        response,
        {"custom_id": ID, "response": response, "error": error},
        {"custom_id": ID, "response": {"status_code": response, "body": body}, "error": error},
        {"custom_id": ID, "response": {"body": {"choices": choices, "usage": body}}},
        {"custom_id": ID, "response": {"body": {"choices": [{"message": body, "finish_reason": error}]}}},
        {"custom_id": ID, "body": {"choices": {"message": {"content": response}, "finish_reason": "stop"}}},
    ):
        try:
            reply = result_of(json.dumps(row)).reply(50)
        except (UnreadableLineError, BrokenStreamError, StatusError):
            continue
        reply.answer.encode()
        assert reply.finish_reason and (reply.completion_tokens or 0) <= 50


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("big", "big", True),
        ("org/Big-7B", "/models/org/big-7b/", True),
        ("gpt-5", "gpt-5-2027-01-01", True),
        ("big:latest", "big", True),
        ("big", None, True),
        ("big", 5, True),
        ("big", "small", False),
        ("org/big-7b", "org/big-70b", False),
    ],
)
def test_the_model_that_an_answer_names(asked: str, answered: Any, same: bool) -> None:
    assert is_same_model(asked, answered) is same


def test_the_program_for_ray_in_the_guide_converts_requests_and_answers() -> None:
    """The rows are those of `ray.data.read_text`, and of the deployment's reply with the columns of the request."""
    page = (ROOT / "docs/guide/generation.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "answer"}
    exec(compile(program, "answer.py", "exec"), names)
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 9}
    line = json.dumps({"custom_id": ID, "method": "POST", "url": "/v1/chat/completions", "body": body})
    said = completion("It is a river.", "Let me think.")
    request = names["to_request"]({"text": line})
    assert request["request_kwargs"] == {**body, "stream": False} and request["method"] == "chat"
    answer = names["to_answer"]({"text": line, **request, **said})
    assert reply_of(answer) == reply_of(result_line(ID, said, FORMS[0]))
    assert result_of(json.dumps(answer)).custom_id == ID
