"""Keys that change the requests to a server: what they accept, and that unset keys change no signature."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.settings import Endpoint, JudgeSettings, Sampling, Source
from faq_tui.core.settings.load import parse_settings
from faq_tui.core.settings.request_keys import REQUEST_KEYS
from faq_tui.core.worker.parent import without_keys

SERVER: dict[str, Any] = {"base_url": "http://a/v1", "model": "m"}
KEYS: dict[str, Any] = {
    "extra_body": {"top_a": 0.1},
    "extra_headers": {"X-A": "b"},
    "chat_template_kwargs": {"effort": "high"},
    "leave_out": ("seed",),
}


@pytest.mark.parametrize(
    "keys",
    [
        {"extra_body": {"messages": []}},
        {"extra_body": {"a": float("nan")}},
        {"extra_headers": {"a b": "c"}},
        {"extra_headers": {"Content-Length": "5"}},
        {"extra_headers": {"X-A": "b\r\nX-B: c"}},
        {"leave_out": ["model"]},
    ],
    ids=str,
)
def test_what_no_request_can_have_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Endpoint(**SERVER, **keys)


@pytest.mark.parametrize("key", ["extra_body", "extra_headers", "leave_out", "sampling"])
def test_a_local_source_refuses_keys_for_servers(key: str) -> None:
    value: Any = {"presence_penalty": 1.0} if key == "sampling" else KEYS[key]
    with pytest.raises(ValidationError, match="has no server"):
        Source(base_url="local", model="m", **{key: value})


def test_a_local_source_has_neutral_values_for_those_that_are_off() -> None:
    off = dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"), "off")
    values = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "max_tokens": 8192, "seed": 0}
    assert Sampling.model_validate(off).neutral() == values


def test_unset_keys_are_in_no_dump_and_so_in_no_signature() -> None:
    assert not {*REQUEST_KEYS, "presence_penalty"} & {*Source(**SERVER).model_dump(), *Sampling().model_dump()}
    assert not set(REQUEST_KEYS) & set(JudgeSettings().model_dump())
    assert set(REQUEST_KEYS) <= set(Source(**SERVER, **KEYS).model_dump())


@pytest.mark.parametrize("key", REQUEST_KEYS)
def test_what_influences_answers_makes_other_candidates(key: str) -> None:
    changed = source_hash_of(Source(**SERVER, **{key: KEYS[key]})) != source_hash_of(Source(**SERVER))
    assert changed is (key != "extra_headers")


def test_the_judge_has_these_keys_too() -> None:
    judge = JudgeSettings(kind="llm", **SERVER, **KEYS)
    assert {name: getattr(judge.endpoint(), name) for name in REQUEST_KEYS} == KEYS


def test_a_worker_does_not_get_the_secret_of_a_header() -> None:
    headers = '{ api-key = "$GATEWAY_KEY", X-Title = "a" }'
    text = f"""
[target]
model = "m"
[seeds]
path = "s.jsonl"
[sources.elder]
base_url = "http://a/v1"
model = "m"
extra_headers = {headers}
"""
    assert without_keys(parse_settings(text)) == {"GATEWAY_KEY": ""}
