"""Bytes to events by the standard: however the bytes are cut, the same events come out."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints import sse
from faq_tui.core.endpoints.sse import BOM, EventReader, SentEvent

CUTS = st.lists(st.integers(0, 10_000), max_size=20)
WORDS = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=8)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds)]


def read(data: bytes, cuts: list[int] | None = None) -> list[SentEvent]:
    reader = EventReader()
    return [event for piece in pieces(data, cuts or []) for event in reader.feed(piece)]


def by_the_standard(data: bytes) -> list[SentEvent]:
    """The standard's algorithm, step by step over the whole text; slow, and nothing is cut."""
    text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events, buffer, kind, name = [], "", "", None
    for line in text.split("\n")[:-1]:
        if line == "":
            if buffer:
                events.append(SentEvent(buffer.removesuffix("\n").encode(), kind.encode(), name))
            buffer, kind, name = "", "", None
            continue
        field, colon, value = line.partition(":")
        if colon and not field:
            continue
        value = value[1:] if value.startswith(" ") else value
        if field == "data":
            buffer += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            name = value.encode()
    return events


@given(WORDS, CUTS, ENDS, st.booleans(), st.booleans())
def test_events_come_out_as_they_went_in(words: list[str], cuts: list[int], end: str, space: bool, bom: bool) -> None:
    sent = "".join(f": comment{end}data:{' ' if space or word[0] == ' ' else ''}{word}{end}{end}" for word in words)
    found = read(BOM * bom + sent.encode(), cuts)
    assert [event.data.decode() for event in found] == words


LINES = st.lists(
    st.sampled_from(
        [
            *("data: a", "data:b", "data:  c", "data", "data:", "data:d: e", "data : f", "Data: g", "databases: h"),
            *("id: 1", "id", "id: 2\0", "event: ping", "event", "retry: 10", ": comment", ":", "ü: ä", "", "", ""),
        ]
    ),
    max_size=20,
)


@given(LINES, CUTS, st.lists(ENDS, min_size=1, max_size=20), st.booleans())
def test_any_stream_reads_as_the_standard_says(lines: list[str], cuts: list[int], ends: list[str], bom: bool) -> None:
    text = "".join(f"{line}{end}" for line, end in zip(lines, itertools.cycle(ends), strict=False))
    sent = BOM * bom + text.encode()
    assert read(sent, cuts) == by_the_standard(sent)
    assert read(sent, list(range(len(sent)))) == by_the_standard(sent), "byte by byte"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("text", "events"),
    [
        # The examples of the standard, word for word.
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [SentEvent(b"YHOO\n+2\n10")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [SentEvent(b"first event", id=b"1"), SentEvent(b"second event", id=b""), SentEvent(b" third event")],
        ),
        ("data\n\ndata\ndata\n\ndata:\n", [SentEvent(b""), SentEvent(b"\n")]),
        ("data:test\n\ndata: test\n\n", [SentEvent(b"test"), SentEvent(b"test")]),
        (
            "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
            [SentEvent(b"73857293", b"add"), SentEvent(b"2153", b"remove")],
        ),
    ],
)
def test_the_examples_of_the_standard(text: str, events: list[SentEvent], end: str) -> None:
    sent = text.replace("\n", end).encode()
    assert read(sent) == events
    assert read(sent, list(range(len(sent)))) == events


def test_a_line_end_that_is_cut_in_the_middle_is_one_line_end() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\r") == [] and reader.feed(b"\ndata: b\r") == []
    assert reader.feed(b"\n\r") == [SentEvent(b"a\nb")], "the event is complete before the LF of its last line end"
    assert reader.feed(b"\ndata: c\r\r") == [SentEvent(b"c")]


def test_an_event_that_the_end_of_the_stream_cuts_off() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\ndata: b\n\ndata: c") == [SentEvent(b"a\nb")]
    assert reader.end() == [SentEvent(b"c")] and reader.end() == []
    assert EventReader().end() == []
    short = EventReader()
    assert short.feed(BOM[:2]) == [] and short.end() == []


@pytest.mark.parametrize("line", [b"data: some words\n", b"data:\n", b"data\n", b"data", b": x", b"data: x\r"])
def test_an_event_without_an_end_is_an_error(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MOST_EVENT_BYTES", 10_000)
    monkeypatch.setattr(sse, "MOST_LINE_BYTES", 10_000)
    reader, fed = EventReader(), 0
    with pytest.raises(ValueError, match="of the stream does not end"):
        while fed < 50_000:
            reader.feed(line)
            fed += len(line)
    honest = EventReader()
    assert len([event for _ in range(5000) for event in honest.feed(b"data: some words\n\n")]) == 5000


def test_a_line_that_comes_in_small_pieces_is_read_once() -> None:
    """Copied at each piece, eight megabytes take seconds, and every other stream waits."""
    reader = EventReader()
    reader.feed(b"data: " + bytes(8 << 20))
    before = time.process_time()
    for _ in range(2000):
        reader.feed(b"x")
    assert time.process_time() - before < 2
    assert [len(event.data) for event in reader.feed(b"\n\n")] == [(8 << 20) + 2000]
