"""The judge of kind `llm` against a real HTTP server: what it is shown, how its replies are read, a killed client."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import Asked, Behaviour, FakeServer, Fault, answer_of
from shell import events, faq_tui, make_run, question, refused, rows, started

from faq_tui.core.errors import ExitCode

JUDGE = ("--until", "judge")
MARKS = "SELECT c.number - 1, p.score, p.reason, p.raw FROM scores p JOIN candidates c ON c.id = p.candidate_id"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Elder and judge in one: they differ by their model's name."""
    with FakeServer() as running:
        yield running


def judging(mark: Any, **other: Any) -> Behaviour:
    """`mark(asked)` is what the judge replies."""

    def reply(asked: Asked) -> str:
        return str(mark(asked)) if is_judge(asked) else answer_of(asked.question, asked.number)

    return Behaviour(models=("fake-8b", "judge-72b"), reply=reply, **other)


def is_judge(asked: Asked) -> bool:
    return bool(asked.body["model"] == "judge-72b")


def judge_requests(server: FakeServer) -> list[Asked]:
    return [asked for asked in server.requests if is_judge(asked)]


def judged(folder: Path, url: str, seeds: int = 1, more: str = "") -> Path:
    judge = f'[judge]\nkind = "llm"\nbase_url = "{url}"\nmodel = "judge-72b"\n{more}\n'
    return make_run(folder, url, seeds=seeds, rest=judge)


def by_answer(asked: Asked, replies: list[str]) -> str:
    """The reply for the candidate that the judge is shown."""
    return next(r for n, r in enumerate(replies) if answer_of(question(0), n) in asked.question)


def test_marks_pick_and_garbage_is_unscored_not_zero(server: FakeServer, tmp_path: Path) -> None:
    replies = [
        "I cannot judge \x1b[31mthis\x07.",
        'Sure: {"reason": "it [bold]holds[/bold]", "score": 4}',
        "Score: 2",
    ]
    server.behaviour = judging(lambda asked: by_answer(asked, replies))
    folder = judged(tmp_path / "run", server.url)
    result = faq_tui("run", folder, *JUDGE, "--json")
    assert result.code == ExitCode.DONE, result
    assert sorted(rows(folder, MARKS)) == [
        (0, None, "the reply could not be read", replies[0]),
        (1, 4.0, "it [bold]holds[/bold]", replies[1]),
        (2, 2.0, "", replies[2]),
    ]
    picked = rows(folder, "SELECT c.number, p.picked_by FROM picks p JOIN candidates c ON c.id = p.candidate_id")
    assert picked == [(2, "judge")]
    told = {e["score"] for e in events(result) if e["event"] == "ScoreReady"}
    assert told == {None, 4.0, 2.0}
    source = json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]
    assert (source["scored"], source["picked"], source["rejected"]) == (2, 1, 0)


def test_a_judge_that_marks_nothing_picks_nothing(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(lambda asked: "no")
    folder = judged(tmp_path / "run", server.url)
    result = faq_tui("run", folder, *JUDGE)
    assert result.code == ExitCode.DONE
    assert "warning: 1 of 1 seeds of elder have no candidate fit to be picked" in result.err
    assert rows(folder, "SELECT action, candidate_id FROM picks") == [("reject", None)]


def test_the_judge_sees_question_reasoning_and_answer_and_is_asked_without_chance(
    server: FakeServer, tmp_path: Path
) -> None:
    thought = f"<think>{'Start. ' + 'x' * 300 + ' End.'}</think>"
    server.behaviour = Behaviour(
        models=("fake-8b", "judge-72b"),
        reply=lambda a: '{"reason": "", "score": 5}' if is_judge(a) else f"{thought}The answer {{question}}.",
    )
    folder = judged(tmp_path / "run", server.url, more="reasoning_characters = 100")
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    for asked in judge_requests(server):
        assert question(0) in asked.question and "The answer {question}." in asked.question
        assert "Start. " in asked.question and " End.\n" in asked.question and "x" * 100 not in asked.question
        body = asked.body
        assert (body["temperature"], body["max_tokens"], body["response_format"]["type"]) == (0.0, 512, "json_schema")
        assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_what_was_cut_off_is_not_shown_to_the_judge(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(
        lambda asked: '{"score": 5}', finish=lambda a: "length" if not is_judge(a) and a.number < 2 else "stop"
    )
    folder = judged(tmp_path / "run", server.url)
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert len(judge_requests(server)) == 1
    assert [row[0] for row in rows(folder, MARKS)] == [2]


def test_a_judge_that_reasons_is_read_by_its_answer(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(lambda asked: '<think>Perhaps {"score": 1}?</think>{"reason": "ok", "score": 9}')
    folder = judged(tmp_path / "run", server.url)
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert {score for _, score, _, _ in rows(folder, MARKS)} == {9.0}


@pytest.mark.parametrize("trouble", ["key", "model"])
def test_a_judge_that_refuses_us_is_exit_code_3_and_keeps_the_candidates(
    server: FakeServer, tmp_path: Path, trouble: str
) -> None:
    folder = judged(tmp_path / "run", server.url)
    if trouble == "key":
        fault = Fault("status", 403, "not for you")
        server.behaviour = judging(lambda asked: "", fault=lambda a: fault if is_judge(a) else None)
    said = refused(ExitCode.UNREACHABLE, "run", folder, *JUDGE)
    expected = (
        "refused a request without a key (HTTP 403)" if trouble == "key" else "does not serve model 'judge-72b'"
    )
    assert expected in said
    assert len(rows(folder, "SELECT id FROM candidates")) == 3


def test_a_failed_mark_keeps_the_others_and_comes_with_the_next_run(server: FakeServer, tmp_path: Path) -> None:
    bad = answer_of(question(0), 1)
    server.behaviour = judging(
        lambda asked: '{"reason": "", "score": 5}',
        fault=lambda a: Fault("error") if is_judge(a) and bad in a.question else None,
    )
    folder = judged(tmp_path / "run", server.url, more="retries = 0")
    said = refused(ExitCode.FAILED, "run", folder, *JUDGE)
    assert said.startswith("the judge failed on 1 of 3 candidates")
    server.behaviour = judging(lambda asked: '{"reason": "", "score": 5}')
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert sorted(server.stats().asked[a.question, 0] for a in judge_requests(server)) == [1, 1, 2, 2]


def test_a_killed_judge_marks_nothing_twice(server: FakeServer, tmp_path: Path) -> None:
    seeds, at_once = 12, 4
    server.behaviour = judging(lambda asked: '{"reason": "fine, all in all", "score": 6}')
    folder = judged(tmp_path / "run", server.url, seeds=seeds, more=f"concurrency = {at_once}")
    assert faq_tui("run", folder, "--until", "regenerate").code == ExitCode.DONE
    server.behaviour.pieces_per_s = 40
    for goal in (6, 17):
        with started("run", folder, *JUDGE) as process:
            server.wait_for(lambda stats, goal=goal: stats.finished.total() >= 3 * seeds + goal)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.wait()
        server.wait_for(lambda stats: stats.in_flight == 0)
    asked = server.stats().asked
    marked = {row[0] for row in rows(folder, "SELECT candidate_id FROM scores")}
    assert 0 < len(marked) < 3 * seeds
    answers = dict(rows(folder, "SELECT id, answer FROM candidates"))
    done = {a.question for a in judge_requests(server) if any(answers[i] in a.question for i in marked)}
    assert len(done) == len(marked)

    server.behaviour.pieces_per_s = 0
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    final = server.stats().asked
    assert all(final[text, 0] == asked[text, 0] for text in done)
    counted = rows(folder, "SELECT count(*), count(DISTINCT candidate_id) FROM scores")
    assert counted == [(3 * seeds, 3 * seeds)]
    assert len(judge_requests(server)) <= 3 * seeds + 2 * at_once
    assert len(rows(folder, "SELECT id FROM picks")) == seeds
