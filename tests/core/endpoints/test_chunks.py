"""Events to chunks: what keeps a connection open is passed over, what is wrong breaks its stream alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints import Client, sse, stream_chat
from faq_tui.core.endpoints.chat import Completion, Reply
from faq_tui.core.endpoints.chunks import DELTA, BrokenStreamError, ChunkReader
from faq_tui.core.endpoints.client import NotAnApiError
from faq_tui.core.settings import Endpoint, Sampling
from tests.support.fakes.raw_http import ok, raw_server

WORDS = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=8)


def chunk_of(word: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": word}}]}


def chunks_of(stream: bytes) -> list[Any]:
    reader = ChunkReader()
    return [*reader.feed(stream), *reader.end()]


def completion(chunk: bytes) -> Reply:
    """The reply to one request of a stream that holds `chunk` between two good ones."""
    taken = Completion(lambda *_: None, 1)
    good = json.dumps({"choices": [{"index": 0, "delta": {"content": "a"}}]}).encode()
    last = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode()
    for each in chunks_of(b"".join(b"data: " + each + b"\n\n" for each in (good, chunk, last, b"[DONE]"))):
        taken.take(each, DELTA)
    return taken.choices[0].reply(taken.usage, 0.0, 10)


@pytest.mark.parametrize(
    "chunk",
    [
        *(b'{"choices": 5}', b'{"choices": true}', b'{"choices": "ab"}', b'{"choices": {"index": 0}}', b"5", b"[]"),
        *(b'{"choices": [5]}', b'{"choices": [[]]}', b"{", b"\xff", b'{"error": 5}', b'{"n": ' + b"1" * 5000 + b"}"),
        *(pytest.param(part * 100_000, id=part.decode()) for part in (b"[", b'{"choices":', b'{"error":')),
        *(
            pytest.param(b'{"error": ' + b"[" * n + b"]" * n + b"}", id=f"error {n} deep")
            for n in (300, 800, 900, 950)
        ),
    ],
)
def test_a_malformed_chunk_breaks_its_stream_alone(chunk: bytes) -> None:
    """BrokenStreamError is what asks once more; any other exception ends the stage."""
    with pytest.raises(BrokenStreamError):
        completion(chunk)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CHUNK = {
    "choices": [{"index": 0, "delta": {"content": "b", "reasoning": "c"}, "finish_reason": None}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    "error": None,
}


@pytest.mark.parametrize("place", range(11))
@given(st.one_of(st.integers(), st.booleans(), st.text(), ANY_JSON))
def test_a_mutated_chunk_is_taken_or_breaks_its_stream(place: int, value: Any) -> None:
    chunk = json.loads(json.dumps(CHUNK))
    places = [(chunk, key) for key in chunk]
    places += [(chunk["choices"], 0), *((chunk["choices"][0], key) for key in chunk["choices"][0])]
    places += [(inner, key) for inner in (chunk["choices"][0]["delta"], chunk["usage"]) for key in inner]
    where, key = places[place]
    where[key] = value
    try:
        reply = completion(json.dumps(chunk).encode())
    except BrokenStreamError:
        return
    assert "a" in reply.answer or reply.finish_reason == "stop"


def test_an_event_that_is_too_long_only_at_the_end_breaks_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MOST_EVENT_BYTES", 100)
    chunks = ChunkReader()
    assert chunks.feed(b"data: " + b"x" * 80 + b"\ndata: " + b"y" * 80) == []
    with pytest.raises(BrokenStreamError, match="an event of the stream does not end"):
        chunks.end()


KEPT_OPEN = [
    *(b"data: : keepalive", b"data:: ping", b"data:", b"data: ", b"data", b"data: \ndata: ", b"data: [PING]"),
    *(b"data: keep-alive", b"data: KEEPALIVE", b"data: heartbeat", b"data: : OPENROUTER PROCESSING"),
    *(b"event: ping\ndata: {}", b'event: ping\ndata: {"type": "ping"}', b"event: heartbeat\ndata: 2026-11-29"),
    *(b": comment", b":", b"event: ping", b"id: 7", b"retry: 3000", b"\n"),
]


@pytest.mark.parametrize("event", KEPT_OPEN)
def test_what_keeps_a_connection_open_is_no_chunk(event: bytes) -> None:
    first, second = (b"data: " + json.dumps(chunk_of(word)).encode() + b"\n\n" for word in "ab")
    assert chunks_of(event + b"\n\n" + first + event + b"\n\n" + second) == [chunk_of("a"), chunk_of("b")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_nothing_is_read_after_the_last_event(end: str) -> None:
    reader = ChunkReader()
    stream = f'data: {{"n": 1}}{end}{end}data: [DONE]{end}{end}data: {{"n": 2}}{end}{end}'
    assert reader.feed(stream.encode()) == [{"n": 1}] and reader.done


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (b'event: error\ndata: {"message": "engine died"}', "engine died"),
        (b'event: error\ndata: {"error": {"message": "engine  died"}}', "engine died"),
        (b"event: error\ndata: engine died", "engine died"),
        (b"event: error\ndata:", "an error in the stream"),
    ],
)
def test_an_event_of_the_type_error_breaks_the_stream(event: bytes, said: str) -> None:
    with pytest.raises(BrokenStreamError, match=f"^{said}$"):
        chunks_of(event + b"\n\n")


@pytest.mark.parametrize("page", [b"<!doctype html>", b"\n\n  <html>", b"\r\n<?xml"])
def test_a_web_page_is_no_stream(page: bytes) -> None:
    with pytest.raises(NotAnApiError):
        chunks_of(page)


@given(WORDS)
def test_an_event_that_repeats_its_id_is_dropped(words: list[str]) -> None:
    events = [f"id: {n}\ndata: {json.dumps(chunk_of(word))}\n\n" for n, word in enumerate(words, 1)]
    assert chunks_of("".join(event * 2 for event in events).encode()) == [chunk_of(word) for word in words]


@pytest.mark.parametrize("name", ["id: chatcmpl-1", "id: 1", "id", "id:"])
def test_events_that_all_have_one_id_are_all_read(name: str) -> None:
    """Some servers write the completion's id there; equal words in a row are no repetition."""
    words = ["", "no ", "no ", "no ", "yes"]
    stream = "".join(f"{name}\ndata: {json.dumps(chunk_of(word))}\n\n" for word in words)
    assert chunks_of(stream.encode()) == [chunk_of(word) for word in words]


def test_an_id_that_appears_once_is_no_repetition() -> None:
    body = json.dumps(chunk_of("no "))
    stream = f"id: 1\ndata: {body}\n\ndata: {body}\n\ndata: {body}\n\n"
    assert chunks_of(stream.encode()) == [chunk_of("no ")] * 3


# --- responses whose content type or form is not the usual one ---

PARTS = ({"role": "assistant"}, {"reasoning": "why"}, {"content": "so it "}, {"content": "is"})
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}
SENT = [*({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in PARTS), LAST]
WHOLE = {
    "choices": [{"index": 0, "message": {"reasoning": "why", "content": "so it is"}, "finish_reason": "stop"}],
    "usage": {"completion_tokens": 3},
}
EVENTS = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in SENT) + b"data: [DONE]\n\n"
LINES = b"\n".join(json.dumps(chunk).encode() for chunk in SENT)
ODD_FORMS = {
    "events-as-json": ok(EVENTS, "application/json"),
    "comment-first-as-json": ok(b": hi\n\n" + EVENTS, "application/json"),
    "json-as-events": ok(json.dumps(WHOLE).encode(), "text/event-stream"),
    "json-as-text": ok(b"\r\n " + json.dumps(WHOLE, indent=2).encode(), "text/plain; charset=utf-8"),
    "json-with-bom": ok(b"\xef\xbb\xbf" + json.dumps(WHOLE).encode(), ""),
    "json-lines": ok(LINES, "application/x-ndjson"),
    "json-lines-as-json": ok(LINES + b"\n", "application/json"),
}


async def asked_of(answer: bytes) -> Reply:
    async with raw_server(answer) as server, Client(Endpoint(base_url=server.url, model="m")) as client:
        return await stream_chat(client, "m", [{"role": "user", "content": "?"}], Sampling(), 0, {})


@pytest.mark.parametrize("form", ODD_FORMS)
async def test_an_answer_is_read_in_each_form(form: str) -> None:
    reply = await asked_of(ODD_FORMS[form])
    assert (reply.reasoning, reply.answer, reply.finish_reason) == ("why", "so it is", "stop")
    assert reply.completion_tokens == 3


@pytest.mark.parametrize(
    "error",
    [
        {"object": "error", "message": "engine is busy", "code": 503},
        {"type": "error", "message": "engine is busy"},
        {"detail": "engine is busy"},
        {"code": "overloaded", "msg": "engine is busy"},
    ],
    ids=["vllm", "type", "fastapi", "code"],
)
@pytest.mark.parametrize("form", ["stream", "response"])
async def test_an_error_without_the_field_error(error: dict[str, Any], form: str) -> None:
    body = json.dumps(error).encode()
    answer = ok(body) if form == "response" else ok(b"data: " + body + b"\n\n", "text/event-stream")
    with pytest.raises(BrokenStreamError, match="engine is busy"):
        await asked_of(answer)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"17", b'{"data": []}', b"{]"])
async def test_json_that_is_no_completion(body: bytes) -> None:
    with pytest.raises(NotAnApiError):
        await asked_of(ok(body))


def test_bytes_that_are_not_utf_8_are_named() -> None:
    with pytest.raises(BrokenStreamError, match="UTF-8"):
        chunks_of(b'data: {"choices": "na\xefve"}\n\n')


def chunk(text: str | None, usage: bool) -> dict[str, Any]:
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}}]
    return {"choices": choices, **({"usage": {"completion_tokens": 3}} if usage else {})}


@pytest.mark.parametrize(
    ("chunks", "ended"),
    [
        ([chunk("a", False), chunk("b", True)], True),
        ([chunk("a", False), chunk("b", True), chunk(None, True)], True),
        ([chunk("a", True), chunk("b", False)], False),
        ([chunk("a", True), chunk("b", True)], False),  # a server that sends the usage in every chunk
        ([chunk("a", True), chunk("b", True), chunk(None, True)], False),
    ],
)
def test_the_first_usage_shows_the_end_unless_more_choices_follow(chunks: list[dict[str, Any]], ended: bool) -> None:
    taken = Completion(lambda *_: None, 1)
    for one in chunks:
        taken.take(one, "delta")
    assert taken.ended is ended
