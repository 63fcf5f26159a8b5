"""Events as lines: they validate against their schema, come back as they went, and are told apart by first bytes."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.run.events import (
    DELTA_LINE,
    KINDS,
    STAGE_LINES,
    CandidateDelta,
    CandidateDone,
    CandidateStarted,
    Event,
    StageDone,
    candidate_of_line,
    from_json,
    to_json,
)
from tests.support.fake_server import Behaviour, FakeServer, Fault
from tests.support.schemas import schema, valid
from tests.support.shell import events, faq_tui, make_run

pytest_plugins = ["tests.support.weightless_run"]


def test_every_event_class_has_a_branch_with_its_fields() -> None:
    branches = {b["properties"]["event"]["const"]: b for b in schema("event")["oneOf"]}
    assert set(branches) == set(KINDS)
    for name, kind in KINDS.items():
        keys = {"index" if f.name == "number" else f.name for f in fields(kind)}  # as other programs know it
        assert set(branches[name]["properties"]) == {"event", "time", *keys}, name


@pytest.mark.slow
def test_events_of_a_run_validate(tmp_path: Path, run_folder: Path) -> None:
    """A run with a bad seed, a retry, a failure and, in the second, all the rest up to the sets."""
    with FakeServer(Behaviour(fault=lambda a: Fault("error") if a.number == 2 else None)) as server:
        run = make_run(tmp_path / "other", server.url, seeds=2, source="retries = 1")
        with (run / "seeds.jsonl").open("a") as file:
            file.write("broken\n")
        failed = faq_tui("run", run, "--until", "regenerate", "--json")
        assert failed.code == 1
    done = next((run_folder / "jobs").glob("*/events.jsonl")).read_text().splitlines()
    lines = [*events(failed), *map(json.loads, done)]
    for line in lines:
        valid("event", line)
    seen = {line["event"] for line in lines}
    assert seen >= {
        *("StageStarted", "StageProgress", "StageDone", "StageFailed", "SeedSkipped", "SetAssembled", "ScoreReady"),
        *("CandidateStarted", "CandidateDelta", "CandidateDone", "CandidateRetried", "CandidateFailed", "Note"),
    }
    record = next((run / "jobs").glob("*/events.jsonl")).read_text().splitlines()
    recorded, printed = ([{**e, "time": 0} for e in lines] for lines in (map(json.loads, record), events(failed)))
    assert recorded == printed


def test_an_event_comes_back_from_its_line() -> None:
    event = StageDone("seeds", 1.5, 'quoted "words",\nüber')
    assert "\n" not in to_json(event) and from_json(to_json(event, 12.5)) == (event, 12.5)
    with pytest.raises(ValueError, match="no such event"):
        from_json('{"event": "Other"}')


@pytest.mark.parametrize(
    "line",
    [
        *('{"event": "No', "[]", "null", "7", "{}", '{"event": ["Note"], "time": 1.0, "message": "x"}'),
        '{"event": "Note", "message": "x"}',
        '{"event": "Note", "time": null, "message": "x"}',
        '{"event": "Note", "time": 1.0}',
        '{"event": "Note", "time": 1' + "0" * 400 + ', "message": "x"}',
    ],
)
def test_a_line_that_holds_no_event_is_a_value_error(line: str) -> None:
    for given in (line, line.encode()):
        with pytest.raises(ValueError):
            from_json(given)


def test_kinds_of_lines_are_told_apart_by_their_first_bytes() -> None:
    """The bytes that a replay looks for are those that the serializer writes."""
    text: dict[str, Any] = {
        "str": "x",
        "int": 1,
        "float": 1.0,
        "bool": True,
        "tuple[str, ...]": ("a", "b"),
        "dict[str, int]": {"x": 1},
    }

    def line(kind: type[Event]) -> bytes:
        return to_json(kind(*(text[str(f.type).partition(" | ")[0]] for f in fields(kind)))).encode()

    starting: dict[bytes | tuple[bytes, ...], set[str]] = {
        DELTA_LINE: {"CandidateDelta"},
        STAGE_LINES: {"StageStarted", "StageSkipped", "StageDone", "StageFailed"},
    }
    for starts, names in starting.items():
        assert {name for name, kind in KINDS.items() if line(kind).startswith(starts)} == names
    assert all(from_json(line(kind))[0] == from_json(line(kind).decode())[0] for kind in KINDS.values())


def test_a_candidate_is_known_by_the_same_bytes_in_each_of_its_lines() -> None:
    who = ('s", "index": 2', 'el"der, ')
    events = [
        CandidateStarted(*who, 1),
        CandidateDelta(*who, 1, "a", "b"),
        CandidateDone(*who, 1, 12, 3, 1.0, ("loop",)),
    ]
    assert len({candidate_of_line(to_json(event).encode()) for event in events}) == 1
    others = [("s", who[1], 1), (who[0], "e", 1), (*who, 11), (*who, 2)]
    lines = [to_json(CandidateDelta(*other, "a", "b")).encode() for other in others]
    assert len({candidate_of_line(line) for line in [*lines, to_json(events[0]).encode()]}) == 5
