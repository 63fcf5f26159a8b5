"""What other programs read, against schemas that allow nothing they do not name: tests/fixtures/schemas."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from faq_tui.core.run.events import (
    DELTA_LINE,
    KINDS,
    SETTLED_LINES,
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
from faq_tui.core.run.run import open_run
from faq_tui.core.store.artefacts import Artefact, add_artefact
from tests.support.fake_server import Behaviour, FakeServer, Fault
from tests.support.paths import SCHEMAS
from tests.support.shell import events, faq_tui, make_run

pytest_plugins = ["tests.support.weightless_run"]


def schema(name: str) -> Any:
    body = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(body)
    return body


def valid(name: str, body: Any) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(body)


def objects(node: Any) -> list[dict[str, Any]]:
    """Every object schema inside a schema."""
    found = [node] if isinstance(node, dict) and node.get("type") == "object" else []
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return found + [inner for part in parts for inner in objects(part)]


@pytest.mark.parametrize("name", ["status", "event", "doctor", "report"])
def test_the_schemas_are_strict(name: str) -> None:
    for part in objects(schema(name)):
        free = part.get("additionalProperties")
        assert free is False or (isinstance(free, dict) and not part.get("properties")), part
        if part.get("properties"):
            assert set(part["required"]) == set(part["properties"]), "what can be left out is not strict"


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
    text: dict[str, Any] = {"str": "x", "int": 1, "float": 1.0, "tuple[str, ...]": ("a", "b")}

    def line(kind: type[Event]) -> bytes:
        return to_json(kind(*(text[str(f.type).partition(" | ")[0]] for f in fields(kind)))).encode()

    starting: dict[bytes | tuple[bytes, ...], set[str]] = {
        DELTA_LINE: {"CandidateDelta"},
        SETTLED_LINES: {"CandidateDone", "CandidateRetried", "CandidateFailed"},
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


def test_status_validates(run_folder: Path, tmp_path: Path) -> None:
    recipe = {"method": "gptq", "bits": 4}
    with open_run(run_folder) as run:
        for name, same_as in (("gptq-w4g128-elder", None), ("gptq-w4g128-other", "gptq-w4g128-elder")):
            add_artefact(run.store, Artefact(name, "s", recipe, "elder", same_as, 4, 400, 4.25, 9.0))
    status = json.loads(faq_tui("status", run_folder, "--json").out)
    valid("status", status)
    states = {stage["stage"]: stage["state"] for stage in status["stages"]}
    assert states["seeds"] == states["assemble"] == "done" and states["quantize"] == "missing"
    assert status["sources"]["elder"] == {
        "model": "fake-8b",
        "candidates": 12,
        "wanted": 12,
        "failed": 0,
        "unfit": 4,
        "tokens": status["sources"]["elder"]["tokens"],
        "scored": 8,
        "picked": 4,
        "picked_by_person": 0,
        "rejected": 0,
        "outdated": 0,
        "to_come": status["sources"]["elder"]["to_come"],
    }
    assert status["sources"]["elder"]["to_come"]["candidates"] == 0
    assert [row["name"] for row in status["sets"]] == ["baseline", "elder", "baseline-tokens", "elder-tokens"]
    assert len(status["artefacts"]) == 2
    valid("status", json.loads(faq_tui("status", make_run(tmp_path / "fresh"), "--json").out))


def test_status_tells_what_is_stale(run_folder: Path) -> None:
    text = (run_folder / "faq.toml").read_text()
    (run_folder / "faq.toml").write_text(text + "[assemble]\nmax_tokens = 64\n")
    status = json.loads(faq_tui("status", run_folder, "--json").out)
    states = {stage["stage"]: stage["state"] for stage in status["stages"]}
    assert (states["judge"], states["assemble"]) == ("done", "stale")


def test_doctor_validates(run_folder: Path) -> None:
    for command in (["doctor", "--json"], ["doctor", str(run_folder), "--json"]):
        body = json.loads(faq_tui(*command).out)
        valid("doctor", body)
        names = {check["name"] for check in body["checks"]}
        assert {"python", "C compiler", "libpcre2", "torch", "GPU", "memory", "disk", "embedded model"} <= names
    by_name = {check["name"]: check for check in body["checks"]}
    assert (by_name["source elder"]["state"], by_name["judge"]["state"]) == ("failed", "failed")
    assert by_name["source elder"]["advice"].startswith("cannot reach")
