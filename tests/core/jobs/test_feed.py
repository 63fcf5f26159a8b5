"""What a follower of a job sees: every event in order, whatever stands in the file beside them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from faq_tui.core.jobs import Feed, follow, start, state
from faq_tui.core.run.events import (
    CandidateDelta,
    CandidateDone,
    CandidateRetried,
    CandidateStarted,
    CandidateTotals,
    Event,
    Note,
    to_json,
)
from faq_tui.core.run.job_record import Job
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.job_bench import live, wait_for, write

SLOW = Behaviour(pieces_per_s=20)  # about a second a candidate


def replayed(job: Job, skip_settled: bool = False) -> list[Event]:
    found = follow(job, threading.Event(), 0.01, skip_settled)
    return [item[0] for item in found if item is not None]


@pytest.mark.slow
def test_following_from_the_start_sees_every_event_in_order(server: FakeServer, folder: Path) -> None:
    server.behaviour = SLOW
    job = start(folder, until="regenerate")
    idle = 0
    seen: list[tuple[Event, float]] = []
    for item in follow(job, threading.Event()):
        idle += item is None
        seen += [item] if item else []
    assert state(job) == "done" and idle > 3
    assert "".join(to_json(event, at) + "\n" for event, at in seen) == job.events.read_text()
    assert [item for item in follow(job, threading.Event(), 0.01) if item] == seen
    feed = Feed(job)
    fed: list[Event] = []
    while not feed.ended:
        fed += feed.drain()
    assert not any(isinstance(event, CandidateDelta | CandidateDone) for event in fed)
    done = [event for event, _ in seen if isinstance(event, CandidateDone)]
    tokens = sum(event.completion_tokens for event in done)
    assert CandidateTotals(len(done), 0, 0, 0, tokens) in fed and len(fed) < len(seen)


def test_half_a_line_unknown_kinds_and_noise(tmp_path: Path) -> None:
    with live(tmp_path) as job:
        found = follow(job, threading.Event(), 0.01)
        assert next(found) is None  # no file yet
        line = to_json(Note("größer"), 5.0).encode()
        middle = line.index("ö".encode()) + 1
        write(job, line[:middle])
        assert next(found) is None and next(found) is None
        write(job, line[middle:])
        assert next(found) is None
        write(job, b"\n", b'{"event": "FromTheFuture", "time": 1}\n', b"\0\0\xff\n", b"7\n", b'{"event": "Note"}\n')
        write(job, Note("last"), b'{"event": "No')
        assert next(found) == (Note("größer"), 5.0)
        assert next(found) == (Note("last"), 5.0)
        assert next(found) is None
    assert list(found) == []  # it ended; the half line never became one
    assert replayed(job) == [Note("größer"), Note("last")]


def delta(number: int, text: str) -> CandidateDelta:
    return CandidateDelta("s", 'el", "index": 7, "der', number, "", text)


def test_settled_deltas_are_left_out_of_a_late_start(tmp_path: Path) -> None:
    source = delta(0, "").source
    done = CandidateDone("s", source, 1, 1, 9, 1.0, ())
    retried = CandidateRetried("s", source, 2, 1, 0.5, "cut")
    begun = CandidateStarted("s", source, 2)
    with live(tmp_path) as job:
        twelfth = CandidateStarted("s", source, 12)
        before = [begun, delta(1, "a"), delta(2, "half"), twelfth, delta(12, "x")]
        everything = [*before, done, retried, begun, delta(2, "new")]
        write(job, *everything)
    assert replayed(job) == everything
    settled = CandidateTotals(1, 0, 0, 0, 9)
    assert replayed(job, skip_settled=True) == [settled, twelfth, delta(12, "x"), retried, begun, delta(2, "new")]


def test_a_screen_that_is_behind_gets_merged_deltas(tmp_path: Path) -> None:
    with live(tmp_path) as job:
        feed = Feed(job, 0.01)
        write(job, Note("first"))
        wait_for(lambda: feed._queue.qsize())
        for n in range(300):
            write(job, delta(1, f"{n} "), delta(2, "b"))
        write(job, CandidateStarted("s", delta(1, "").source, 1), delta(1, "again"), delta(2, "b"))
        time.sleep(0.1)
        got: list[Event] = []

        def all_there() -> bool:
            got.extend(feed.drain())
            return sum(len(e.answer) for e in got if isinstance(e, CandidateDelta) and e.number == 2) == 301

        wait_for(all_there)
        text = "".join(e.answer for e in got if isinstance(e, CandidateDelta) and e.number == 1)
        assert text == "".join(f"{n} " for n in range(300)) + "again"
        assert got[0] == Note("first") and len(got) < 20
        again = got.index(CandidateStarted("s", delta(1, "").source, 1))
        assert [e.answer for e in got[again:] if isinstance(e, CandidateDelta) and e.number == 1] == ["again"]
        assert not feed.ended
    wait_for(lambda: feed.ended)


def test_closing_a_feed_does_not_wait(tmp_path: Path) -> None:
    with live(tmp_path) as job:
        write(job, *[Note(str(n)) for n in range(20_000)])
        for pause in (0.0, 1.0):
            feed = Feed(job, poll_s=30)
            time.sleep(pause)
            begin = time.monotonic()
            feed.close()
            assert time.monotonic() - begin < 0.2
            names = [thread for thread in threading.enumerate() if thread.name == f"feed-{job.id}"]
            assert all(thread.daemon for thread in names)
            for thread in names:
                thread.join(2)
                assert not thread.is_alive()
