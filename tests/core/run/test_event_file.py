"""The short form of a job's events gives the same state of the job, and a file stays below its limit."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.jobs import follow
from faq_tui.core.run import event_file
from faq_tui.core.run.event_file import COMPACTED, EventFile, end_of_short_form, short_form
from faq_tui.core.run.events import (
    ArtefactStarted,
    CandidateDelta,
    CandidateDone,
    CandidateFailed,
    CandidateRetried,
    CandidateStarted,
    Event,
    Note,
    Preparing,
    ScoreReady,
    ServerBack,
    ServerWaiting,
    StageDone,
    StageFailed,
    StageProgress,
    StageStarted,
    from_json,
    to_json,
)
from faq_tui.tui.live import LiveState
from tests.support.job_bench import live

URL = "http://one"
NUMBERS, SEEDS = st.integers(1, 2), st.sampled_from(["s1", "s2"])


def candidate_events(seed: str, number: int) -> st.SearchStrategy[Event]:
    who = (seed, "elder", number)
    return st.sampled_from(
        [
            CandidateStarted(*who),
            CandidateDelta(*who, "because ", "so "),
            CandidateRetried(*who, 1, 0.5, "cut off"),
            CandidateDone(*who, 7, 11, 2.0, ("truncated",)),
            CandidateDone(*who, 7, 12, 2.0, ()),
            CandidateFailed(*who, "refused"),
        ]
    )


OTHERS: st.SearchStrategy[Event] = st.sampled_from(
    [
        StageStarted("regenerate", 9, "candidates"),
        StageProgress("regenerate", 3, 9),
        StageProgress("regenerate", 4, 9, "fast"),
        StageDone("regenerate", 1.0, "done"),
        StageStarted("quantize", 2, "artefacts"),
        StageProgress("quantize", 1, 2, "gptq-a"),
        StageFailed("quantize", "no memory", 1),
        ArtefactStarted("gptq-a", 3, 10, 100),
        Note("a sentence"),
        Preparing("model", 1, 2, "bytes", False),
        Preparing("model", 2, 2, "bytes", True),
        ServerWaiting(URL, "down", 1.0, 2.0, None),
        ServerBack(URL, 3.0),
        ScoreReady("s1", "elder", 7, "llm", 1.0, "good"),
    ]
)
EVENTS = st.lists(OTHERS | st.tuples(SEEDS, NUMBERS).flatmap(lambda who: candidate_events(*who)), max_size=40)


def possible(events: Iterable[Event]) -> Iterator[Event]:
    """The events without text of candidates that have not begun."""
    begun = set[tuple[str, int]]()
    for event in events:
        if isinstance(event, StageStarted | StageDone | StageFailed):
            begun.clear()
        who = (getattr(event, "seed_id", ""), getattr(event, "number", 0))
        if isinstance(event, CandidateStarted | CandidateRetried):
            begun.add(who)
        elif isinstance(event, CandidateDone | CandidateFailed):
            begun.discard(who)
        if not isinstance(event, CandidateDelta) or who in begun:
            yield event


def lines_of(events: Iterable[Event]) -> list[bytes]:
    return [f"{to_json(event, 5.0 + at)}\n".encode() for at, event in enumerate(events)]


def state(lines: Iterable[bytes]) -> dict[str, object]:
    """What the app shows after these lines. Rates are not compared."""
    shown = LiveState()
    for line in lines:
        if not line.startswith(COMPACTED):
            shown.apply(*from_json(line))
    regeneration, stage = shown.regeneration, shown.stage
    counts = ("settled", "failed", "unusable", "retried", "tokens", "failures", "retries")
    return {
        **{name: getattr(regeneration, name) for name in counts},
        "growing": {key: (one.attempt, str(one.answer)) for key, one in regeneration.growing.items()},
        "stage": stage and (stage.stage, stage.done, stage.total, stage.detail, stage.state, stage.message),
        "artefacts": {name: (one.layers, one.failed) for name, one in shown.artefacts.items()},
        "notes": list(shown.lines),
        "waiting": shown.waiting,
        "steps": {what: event for what, (_, event) in shown.steps.items()},
    }


def shortened(lines: Iterable[bytes], chunk: int = event_file.CHUNK) -> list[bytes]:
    """The short form of a file of these lines, read in pieces of `chunk` bytes. Its last line is incomplete."""
    file = io.BytesIO(b"".join(lines) + b'{"event": "No')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_file, "CHUNK", chunk)
        short = list(short_form(file))
    assert file.read() == b'{"event": "No'
    return short


@settings(deadline=None)
@given(EVENTS, EVENTS, st.sampled_from([1, 100, 700, event_file.CHUNK]))
def test_the_short_form_shows_the_same(first: list[Event], later: list[Event], chunk: int) -> None:
    events = list(possible([StageStarted("regenerate", 9, "candidates"), *first, *later]))
    lines = lines_of(events)
    lines, rest = lines[: len(first)], lines[len(first) :]
    short = shortened(lines, chunk)
    assert state(short) == state(lines)
    assert state([*short, *rest]) == state([*lines, *rest])
    assert state(shortened([*short, *rest], chunk)) == state([*lines, *rest])


def candidates(count: int) -> Iterator[Event]:
    for number in range(count):
        who = (f"s{number}", "elder", 1)
        yield CandidateStarted(*who)
        for _ in range(10):
            yield CandidateDelta(*who, "x" * 200, "")
        yield CandidateDone(*who, number, 500, 1.0, ())


def test_a_file_stays_below_its_limit_and_a_follower_misses_nothing(tmp_path: Path) -> None:
    most = 100_000
    with live(tmp_path) as job:
        seen: list[tuple[Event, float]] = []
        followed = follow(job, threading.Event(), 0.0)
        assert next(followed) is None
        sizes = set[int]()
        with EventFile(job.events, most) as file:
            for number, event in enumerate(candidates(200)):
                file.write(event)
                sizes.add(job.events.stat().st_size)
                if number % 7 == 0:
                    seen += [item for item in iter(lambda: next(followed), None) if item]
            file.write(Note("last"))
            seen += [item for item in iter(lambda: next(followed), None) if item]
        written = [*candidates(200), Note("last")]
        assert [event for event, _ in seen] == written
        assert max(sizes) < most + 3000 and len(written) * 250 > 4 * most
        late = follow(job, threading.Event(), 0.0, skip_settled=True)
        found = [item for item in islice(late, 20) if item]
    assert [type(event).__name__ for event, _ in found] == ["Note", "CandidateTotals"]
    first = job.events.read_bytes().splitlines(keepends=True)[0]
    assert json.loads(first)["event"] == "Compacted" and 0 < end_of_short_form(first) <= job.events.stat().st_size


def test_a_file_that_cannot_become_shorter_grows_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventFile(path, 2000) as file:
        for number in range(100):
            file.write(ArtefactStarted(f"gptq-{number}", 3, 10, 100))
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(state(lines)["artefacts"]) == 100  # type: ignore[arg-type]
    assert sorted(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("count", [100, 1000])
def test_the_short_form_does_not_grow_with_the_finished_candidates(count: int) -> None:
    assert sum(map(len, shortened(lines_of(candidates(count))))) < 300


def test_only_the_owner_can_read_the_events(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    before = os.umask(0)
    try:
        with EventFile(path, most_bytes=200) as file:
            modes = {path.stat().st_mode & 0o777}
            for _ in range(20):
                file.write_line('{"event": "Note", "text": "a long line that makes the file grow"}')
            modes.add(path.stat().st_mode & 0o777)
    finally:
        os.umask(before)
    assert modes == {0o600}
