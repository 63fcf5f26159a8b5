"""The body of a request: the settings, what the person adds or leaves out, and what the server refuses."""

from __future__ import annotations

from typing import Any

import pytest

from faq_tui.core.endpoints.capabilities import Capabilities
from faq_tui.core.endpoints.request_body import chat_body, has_limit
from faq_tui.core.settings import Endpoint, Sampling

MESSAGES = [{"role": "user", "content": "Why?"}]
HEAD = {"model": "m", "messages": MESSAGES}
ALL = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0, "max_tokens": 8192, "seed": 3}


def body(sampling: Sampling | None = None, extra: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return chat_body("m", MESSAGES, sampling or Sampling(), 3, extra or {}, **more)


def endpoint(**keys: Any) -> Endpoint:
    return Endpoint(base_url="http://a/v1", model="m", **keys)


def test_without_more_settings_all_values_are_sent() -> None:
    assert body() == {**HEAD, **ALL}
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    assert body(stream=True) == {**HEAD, **ALL, **streamed}
    assert body(limited=False) == {**HEAD, **{name: value for name, value in ALL.items() if name != "max_tokens"}}


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_value_can_be_off(name: str) -> None:
    left = body(Sampling.model_validate({name: "off"}))
    assert left == {**HEAD, **{other: value for other, value in ALL.items() if other != name}}
    assert has_limit(left) is (name != "max_tokens")


def test_the_endpoint_adds_replaces_and_leaves_out() -> None:
    keys: dict[str, Any] = {"extra_body": {"top_k": 5, "top_a": 0.1}, "leave_out": ["seed", "stream_options", "x"]}
    sent = body(endpoint=endpoint(**keys, chat_template_kwargs={"b": 2}), extra={"chat_template_kwargs": {"a": 1}})
    left = {name: value for name, value in ALL.items() if name != "seed"}
    assert sent == {**HEAD, **left, "top_k": 5, "top_a": 0.1, "chat_template_kwargs": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("known", "gone", "more"),
    [
        (Capabilities(left_out=("top_k", "min_p")), ("top_k", "min_p"), {}),
        (Capabilities(limit_name="max_completion_tokens"), ("max_tokens",), {"max_completion_tokens": 8192}),
        (Capabilities(left_out=("max_tokens",), limit_name="max_completion_tokens"), ("max_tokens",), {}),
        (Capabilities(left_out=("model", "messages")), (), {}),
    ],
    ids=["left out", "renamed", "no limit", "needed"],
)
def test_refused_parameters_are_not_sent(known: Capabilities, gone: tuple[str, ...], more: dict[str, Any]) -> None:
    left = {name: value for name, value in ALL.items() if name not in gone}
    assert body(capabilities=known) == {**HEAD, **left, **more}


def test_a_server_that_cannot_stream_gets_no_options_for_it() -> None:
    assert body(stream=True, capabilities=Capabilities(left_out=("stream",))) == {**HEAD, **ALL}


def test_a_body_is_new_each_time() -> None:
    extra: dict[str, Any] = {"chat_template_kwargs": {"a": 1}}
    body(extra=extra, endpoint=endpoint(chat_template_kwargs={"b": 2}))
    assert extra == {"chat_template_kwargs": {"a": 1}}
