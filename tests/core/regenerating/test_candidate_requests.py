"""`run --retry-unusable`: stored, unusable candidates are requested once more, by the present policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.fake_server import Asked, Behaviour, FakeServer, Fault, answer_of
from tests.support.judge_bench import judged, judging, marks
from tests.support.shell import faq_tui, make_run, refused, rows

UNTIL = ("--until", "regenerate")
REFUSAL = "I'm sorry, but I can't help with that."


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def refusing(numbers: tuple[int, ...]) -> Behaviour:
    return Behaviour(
        reply=lambda asked: REFUSAL if asked.number in numbers else answer_of(asked.question, asked.number)
    )


def stored(folder: Path) -> list[tuple[Any, ...]]:
    return rows(
        folder,
        "SELECT number, flags, sampling_seed, max_tokens FROM candidates"
        " WHERE generation NOT LIKE '%-replaced' ORDER BY number",
    )


def test_each_unusable_candidate_is_requested_once_more(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = refusing((1, 1001))
    folder = make_run(tmp_path / "run", server.url, seeds=1, source='on_flagged = "drop"')
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert len(server.requests) == 3, "without the option, nothing is requested again"
    make_run(folder, server.url, seeds=1, source='on_flagged = "other_seed"')
    for seed, flags in ((1001, ["refusal"]), (2001, [])):
        server.requests.clear()
        assert faq_tui("run", folder, *UNTIL, "--retry-unusable").code == ExitCode.DONE
        assert [asked.number for asked in server.requests] == [seed], "once, with the next sampling seed"
        assert [(row[0], json.loads(row[1]), row[2]) for row in stored(folder)] == [
            (1, [], 0),
            (2, flags, seed),
            (3, [], 2),
        ]
    server.requests.clear()
    assert faq_tui("run", folder, *UNTIL, "--retry-unusable").code == ExitCode.DONE
    assert not server.requests and len(stored(folder)) == 3


def test_a_worse_answer_and_a_failed_request_leave_the_stored_one(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = refusing((0, 1, 2))
    folder = make_run(tmp_path / "run", server.url, seeds=1, source='on_flagged = "drop"\nretries = 0')
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    before = stored(folder)
    server.behaviour = Behaviour(reply=lambda asked: "和 " * 400, finish=lambda asked: "length")
    assert faq_tui("run", folder, *UNTIL, "--retry-unusable").code == ExitCode.DONE
    assert stored(folder) == before
    server.behaviour = Behaviour(fault=lambda asked: Fault("error") if asked.number == 1 else None)
    said = refused(ExitCode.FAILED, "run", folder, *UNTIL, "--retry-unusable")
    assert said.startswith("1 of 3 candidates failed")
    assert [json.loads(row[1]) for row in stored(folder)] == [[], ["refusal"], []]
    source = json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]
    assert (source["candidates"], source["unfit"], source["failed"]) == (3, 1, 0)
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE


def test_later_stages_see_the_new_candidates(server: FakeServer, tmp_path: Path) -> None:
    def elder(asked: Asked) -> str:
        if asked.body["model"] == "judge-72b":
            return marks(asked, lambda text, _: 9 if "fine" in text else 2)
        return REFUSAL if asked.number == 1 else f"{answer_of(asked.question, asked.number)} {mood}"

    mood = "plain"
    server.behaviour = judging(lambda asked: marks(asked, lambda text, _: 9 if "fine" in text else 2))
    server.behaviour.reply = elder
    folder = judged(tmp_path / "run", server.url, seeds=2, source='on_flagged = "drop"')
    assert faq_tui("run", folder, "--until", "judge").code == ExitCode.DONE
    server.behaviour.reply = lambda asked: (
        marks(asked, lambda text, _: 9 if "fine" in text else 2)
        if asked.body["model"] == "judge-72b"
        else f"{answer_of(asked.question, asked.number)} fine"
    )
    assert faq_tui("run", folder, *UNTIL, "--retry-unusable").code == ExitCode.DONE
    states = {s["stage"]: s["state"] for s in json.loads(faq_tui("status", folder, "--json").out)["stages"]}
    assert (states["regenerate"], states["judge"]) == ("done", "stale")
    assert faq_tui("run", folder, "--until", "judge").code == ExitCode.DONE
    picked = rows(
        folder,
        "SELECT c.number FROM picks p JOIN candidates c ON c.id = p.candidate_id WHERE p.id IN"
        " (SELECT max(id) FROM picks GROUP BY seed_id)",
    )
    assert picked == [(2,), (2,)]
