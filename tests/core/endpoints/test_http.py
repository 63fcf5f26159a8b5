"""Bytes to events: however they are cut, the same comes out; what is wrong is an error and never a hang."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints import http
from faq_tui.core.endpoints.chat import BrokenStreamError, Reply, _Completion
from faq_tui.core.endpoints.http import ChunkedBody, CutOffError, EventStream, HttpRequest, ResponseHead, exchange
from faq_tui.core.endpoints.route import Route

CUTS = st.lists(st.integers(0, 10_000), max_size=20)
DATA = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds)]


@given(DATA, CUTS, st.sampled_from(["", ";name=value", " "]))
def test_chunks_come_out_as_they_went_in(data: list[bytes], cuts: list[int], extension: str) -> None:
    sent = b"".join(f"{len(d):x}{extension}\r\n".encode() + d + b"\r\n" for d in data) + b"0\r\n\r\n"
    body = ChunkedBody()
    assert b"".join(body.feed(piece) for piece in pieces(sent, cuts)) == b"".join(data)
    assert body.ended


@pytest.mark.parametrize(
    "bad", [b"zz\r\nx", b"-1\r\n", b"\r\n", b"2\r\nabc\r\n", b"x" * 5000, b"ffffffffff\r\n", b";\r\n"]
)
def test_what_is_no_chunk_is_an_error(bad: bytes) -> None:
    with pytest.raises(ValueError):
        ChunkedBody().feed(bad)


WORDS = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=8)


@given(WORDS, CUTS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_events_come_out_as_they_went_in(words: list[str], cuts: list[int], end: str, space: bool) -> None:
    sent = "".join(f": comment{end}data:{' ' if space or word[0] == ' ' else ''}{word}{end}{end}" for word in words)
    stream = EventStream()
    found = [event for piece in pieces(sent.encode(), cuts) for event in stream.feed(piece)]
    assert [event.decode() for event in found] == words


@given(WORDS)
def test_an_event_that_repeats_its_id_is_dropped(words: list[str]) -> None:
    events = [f"id: {n}\ndata: {word}\n\n" for n, word in enumerate(words)]
    sent = "".join(event * 2 for event in events).encode()
    assert [event.decode() for event in EventStream().feed(sent)] == words


def test_an_event_of_several_lines_and_one_without_an_end() -> None:
    stream = EventStream()
    assert stream.feed(b"data: a\ndata: b\n\ndata: c") == [b"a\nb"]
    assert stream.end() == [b"c"] and stream.end() == []


@pytest.mark.parametrize("line", [b"data: some words\n", b"data:\n", b"data", b": x"])
def test_an_event_without_an_end_is_an_error(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_EVENT_BYTES", 10_000)
    monkeypatch.setattr(http, "MOST_LINE_BYTES", 10_000)
    stream, fed = EventStream(), 0
    with pytest.raises(ValueError, match="of the stream does not end"):
        while fed < 50_000:
            stream.feed(line)
            fed += len(line)
    honest = EventStream()
    assert len([event for _ in range(5000) for event in honest.feed(b"data: some words\n\n")]) == 5000


def test_a_line_that_comes_in_small_pieces_is_read_once() -> None:
    """Copied at each piece, eight megabytes take seconds, and every other stream waits."""
    stream = EventStream()
    stream.feed(b"data: " + bytes(8 << 20))
    before = time.process_time()
    for _ in range(2000):
        stream.feed(b"x")
    assert time.process_time() - before < 2
    assert [len(event) for event in stream.feed(b"\n\n")] == [(8 << 20) + 2000]


def completion(chunk: bytes, kind: str = "text/event-stream") -> Reply:
    """The reply to one request of a stream that holds `chunk` between two good ones."""
    sink = _Completion(lambda *_: None, 1)
    good = json.dumps({"choices": [{"index": 0, "delta": {"content": "a"}}]}).encode()
    last = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode()
    sink.head(ResponseHead(200, {"content-type": kind}))
    sink.body(b"".join(b"data: " + each + b"\n\n" for each in (good, chunk, last, b"[DONE]")))
    sink.end()
    return sink.choices[0].reply(sink.usage, 0.0, 10)


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


class Kept:
    def __init__(self) -> None:
        self.status, self.data, self.ended = 0, b"", False

    def head(self, head: ResponseHead) -> None:
        self.status = head.status

    def body(self, data: bytes) -> bool:
        self.data += data
        return False

    def end(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", None),
        (b"SSH-2.0-OpenSSH_9.9\r\n", None),
        (b"", None),
    ],
)
async def test_every_kind_of_response(answer: bytes, body: bytes | None) -> None:
    """None: it did not come to its end, and that is said at once."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url, kept = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", Kept()
    try:
        call = exchange(Route(url), HttpRequest("GET", "/v1", {}), kept, 5.0, 5.0)
        if body is None:
            with pytest.raises((CutOffError, ConnectionResetError)):
                await call
        else:
            await call
        assert kept.ended == (body is not None) and (body is None or kept.data == body)
    finally:
        server.close()
