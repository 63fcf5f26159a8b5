"""The list of models in all its forms; and servers that list nothing, or nothing to us, still work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import EndpointError
from faq_tui.core.endpoints.client import Client
from faq_tui.core.endpoints.model_list import is_partial, models_of, name_on, window_of
from faq_tui.core.endpoints.probe import ServerDescription, look
from faq_tui.core.settings import Endpoint
from tests.support.fakes.raw_http import ok, raw_server

ENTRY = {"id": "big", "object": "model"}


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": [ENTRY]},
        [ENTRY],
        {"data": [ENTRY], "models": [{"name": "other"}]},
        {"models": [{"name": "big", "model": "big", "details": {}}]},
        {"models": ["big"]},
        ["big"],
        {"data": {"big": {"owned_by": "me"}}},
        {"result": {"data": [ENTRY]}},
        {"model_list": [{"model_name": "big"}]},
        {"success": True, "result": [{"name": "big"}]},
        ENTRY,
        {"data": [ENTRY, None, 5, {}]},
    ],
)
def test_the_names_are_found(body: Any) -> None:
    assert list(models_of(body) or ()) == ["big"]


@pytest.mark.parametrize("body", [[], {"data": []}, {"data": None}, {"object": "list"}, {"models": {}}])
def test_an_empty_list_is_a_list(body: Any) -> None:
    assert models_of(body) == {}


@pytest.mark.parametrize("body", [None, 5, "big", {"message": "welcome"}, {"detail": "no"}, [5], {"data": [{}]}])
def test_what_is_no_list_of_models(body: Any) -> None:
    assert models_of(body) is None


ANY_JSON = st.recursive(
    st.none() | st.integers() | st.sampled_from(["id", "big"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["data", "id", "models"]), inner),
    max_leaves=5,
)


@given(ANY_JSON)
def test_any_json_can_be_read(body: Any) -> None:
    for name, entry in (models_of(body) or {}).items():
        assert isinstance(name, str) and (window_of(entry) is None or window_of(entry))


@pytest.mark.parametrize(
    ("model", "listed", "name"),
    [
        ("big", ["small", "big"], "big"),
        ("gemini-9", ["models/gemini-9"], "models/gemini-9"),
        ("qwen3", ["qwen3:latest"], "qwen3:latest"),
        ("Qwen/Qwen3-8B", ["qwen/qwen3-8b"], "qwen/qwen3-8b"),
        ("openai/gpt-9", ["openai/*", "x"], "openai/*"),
        ("big", ["bigger", "org/big"], None),
        ("qwen3:8b", ["qwen3:latest"], None),
    ],
)
def test_the_name_on_the_server(model: str, listed: list[str], name: str | None) -> None:
    assert name_on(model, listed) == name


@pytest.mark.parametrize(
    ("entry", "window"),
    [
        *(({name: 4096}, 4096) for name in ("max_model_len", "context_length", "context_window", "n_ctx")),
        *(({name: "8192"}, 8192) for name in ("max_context_length", "inputTokenLimit")),
        ({"max_context_length": 131072, "loaded_context_length": 4096}, 4096),
        ({"context_length": 131072, "top_provider": {"context_length": 32768}}, 32768),
        ({"context_length": 131072, "top_provider": {"context_length": None}}, 131072),
        ({"meta": {"n_ctx_train": 40960, "n_params": 8}}, 40960),
        ({"meta": {"n_ctx_train": 40960, "n_ctx": 2048}}, 2048),
        ({"capabilities": {"limits": 5}, "limits": {"max_input_tokens": 1000.0}}, 1000),
        *(({"max_model_len": wrong}, None) for wrong in (None, True, 0, -1, "many", 10**12, [4096], float("nan"))),
        ({}, None),
    ],
)
def test_the_window(entry: dict[str, Any], window: int | None) -> None:
    assert window_of(entry) == window


def test_a_list_with_more_pages() -> None:
    assert is_partial({"data": [], "has_more": True}) and is_partial({"models": [], "nextPageToken": "x"})
    assert not is_partial({"data": [], "has_more": False}) and not is_partial([])


def status(
    code: int, body: str = '{"error": {"message": "no"}}', kind: str = "application/json", *more: str
) -> bytes:
    lines = [f"HTTP/1.1 {code} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more, "", ""]
    return ("\r\n".join(lines) + body).encode()


PAGE = ok(b"<!doctype html><p>Welcome", "text/html")
NO_LIST = {
    **{str(code): status(code) for code in (400, 401, 403, 404, 405, 410, 429, 500, 503)},
    "plain 403": status(403, "forbidden", "text/plain"),
    "page": PAGE,
    "empty": ok(b""),
    "text": ok(b"welcome", "text/plain"),
    "other": ok(b'{"message": "welcome"}'),
    "redirect": status(302, "", "text/html", "Location: https://example.org/login"),
    "empty list": ok(b'{"data": []}'),
    "a page of more": ok(json.dumps({"data": [{"id": "other"}], "has_more": True}).encode()),
}


async def looked(models: bytes, chat: bytes) -> ServerDescription:
    async with (
        raw_server(lambda head: models if head.startswith("GET") else chat) as server,
        Client(Endpoint(base_url=server.url, model="big")) as client,
    ):
        return await look(client, client.endpoint)


@pytest.mark.parametrize("models", NO_LIST.values(), ids=NO_LIST)
async def test_a_server_that_cannot_list_its_models_still_works(models: bytes) -> None:
    description = await looked(models, status(422, '{"detail": "messages is empty"}'))
    assert description.max_model_len is None


@pytest.mark.parametrize("models", ["400", "401", "403", "page", "redirect", "text"])
@pytest.mark.parametrize("chat", [PAGE, status(401), status(403), status(404), status(302, "", "text/html")])
async def test_a_server_without_chat_completions_is_refused(models: str, chat: bytes) -> None:
    with pytest.raises(EndpointError):
        await looked(NO_LIST[models], chat)


async def test_another_model_is_refused_and_a_window_is_found() -> None:
    with pytest.raises(EndpointError, match="does not serve model 'big'; did you mean 'bigger'"):
        await looked(ok(b'["bigger"]'), PAGE)
    found = await looked(ok(b'[{"id": "models/big", "context_length": 131072}]'), PAGE)
    assert (found.names, found.max_model_len) == (("models/big",), 131072)
