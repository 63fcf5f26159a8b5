"""`faq-tui run` against a real HTTP server: dialects, faults, a killed client."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.endpoints import Reply
from faq_tui.core.regenerating.candidate_requests import parts_of
from faq_tui.core.report.cost import cost
from faq_tui.core.run.run import open_run
from faq_tui.core.settings import Source
from tests.support.fake_server import Asked, Behaviour, Dialect, FakeServer, Fault, answer_of, reasoning_of
from tests.support.shell import (
    Result,
    environment,
    events,
    faq_tui,
    make_run,
    question,
    refused,
    rows,
    started,
    stored,
)

REGENERATE = ("--until", "regenerate")
KEY = "sk-planted-5up3r-s3cr3t"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def regenerate(folder: Path) -> Result:
    result = faq_tui("run", folder, *REGENERATE, "--json")
    assert result.code == ExitCode.DONE, result
    return result


def candidates(folder: Path, columns: str) -> list[tuple[object, ...]]:
    return rows(folder, f"SELECT {columns} FROM candidates ORDER BY seed_id, number")


def test_three_candidates_a_seed_with_every_sampling_value_sent(server: FakeServer, tmp_path: Path) -> None:
    sampling = "sampling = { temperature = 0.7, top_p = 0.8, top_k = 21, min_p = 0.1, max_tokens = 99, seed = 40 }"
    folder = make_run(tmp_path / "run", server.url, seeds=5, source=sampling)
    found = events(regenerate(folder))
    wanted = {(question(n), number): 1 for n in range(5) for number in (40, 41, 42)}
    assert server.stats().asked == server.stats().finished == wanted
    kinds = Counter(event["event"] for event in found)
    assert kinds["CandidateDone"] == kinds["CandidateStarted"] == 15
    told = {(e["seed_id"], e["index"]): "" for e in found if e["event"] == "CandidateDone"}
    for event in found:
        if event["event"] == "CandidateDelta":
            told[event["seed_id"], event["index"]] += event["answer"]
    answers = rows(folder, "SELECT seed_id, number, answer FROM candidates")
    assert told == {(seed_id, number): answer for seed_id, number, answer in answers}
    for asked in server.requests:
        assert {k: v for k, v in asked.body.items() if k not in ("messages", "seed")} == {
            "model": "fake-8b",
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.7,
            "top_p": 0.8,
            "top_k": 21,
            "min_p": 0.1,
            "max_tokens": 99,
            "chat_template_kwargs": {"enable_thinking": True},
        }


def test_concurrency_is_used_and_bounded(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(pieces_per_s=60)
    regenerate(make_run(tmp_path / "run", server.url, seeds=6, source="concurrency = 5"))
    assert server.stats().most_in_flight == 5


def test_reasoning_is_kept_apart_in_every_dialect(server: FakeServer, tmp_path: Path) -> None:
    """One source a dialect, each under a model of that name."""
    dialects = get_args(Dialect)
    speaks = {f"speaks-{dialect}": dialect for dialect in dialects}
    server.behaviour = Behaviour(models=("fake-8b", *speaks), dialect=lambda a: speaks.get(a.body["model"], "none"))
    sources = (f'[sources.{d}]\nbase_url = "{server.url}"\nmodel = "speaks-{d}"\n' for d in dialects)
    folder = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1", rest="".join(sources))
    found = events(regenerate(folder))
    asked = question(0)
    kept = rows(folder, "SELECT source, number - 1, reasoning, answer, flags, dialect FROM candidates")
    for source, number, reasoning, answer, flags, told in kept:
        dialect = "none" if source == "elder" else source
        assert reasoning == ("" if dialect == "none" else reasoning_of(asked, number)), source
        assert answer == ("" if dialect == "unclosed" else answer_of(asked, number)), source
        assert json.loads(flags) == (["unclosed_think", "empty"] if dialect == "unclosed" else [])
        assert told == {"unopened": "inline", "unclosed": "inline"}.get(dialect, dialect)
    assert Counter(row[0] for row in kept) == {"elder": 1, **dict.fromkeys(dialects, 3)}
    notes = [e["message"] for e in found if e["event"] == "Note" and "have no reasoning" in e["message"]]
    assert [note.partition(" have")[0] for note in notes] == [
        "1 of 1 candidates of elder",
        "3 of 3 candidates of none",
    ]


@pytest.mark.parametrize("usage", [True, False])
def test_tokens_are_counted_where_the_server_tells_them(server: FakeServer, tmp_path: Path, usage: bool) -> None:
    server.behaviour = Behaviour(usage=usage)
    folder = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1")
    regenerate(folder)
    ((prompt, completion),) = candidates(folder, "prompt_tokens, completion_tokens")
    assert (prompt, bool(completion)) == ((11, True) if usage else (None, False))
    ((summary,),) = rows(folder, "SELECT message FROM stages WHERE stage = 'regenerate'")
    tokens = f"{completion} tokens" if usage else "number of tokens unknown"
    assert summary == f"elder: 1 candidate, {tokens}, 0 unusable"
    with open_run(folder) as run:
        assert cost(run)["generated"] == ({"elder": completion} if usage else {})


def test_a_prompted_source_is_asked_for_steps_and_split_at_its_answer(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(reply=lambda asked: f"One step.\nAnother.\n**Answer:** It is {asked.number}.")
    folder = make_run(tmp_path / "run", server.url, seeds=1, source='reasoning = "prompted"')
    regenerate(folder)
    assert candidates(folder, "reasoning, answer") == [("One step.\nAnother.", f"It is {n}.") for n in range(3)]
    assert all(a.question.startswith(f"{question(0)}\n") for a in server.requests)


def prompted(answer: str) -> tuple[str, str]:
    source = Source(base_url="http://e/v1", model="m", reasoning="prompted")
    return parts_of(Reply("", answer, "stop", True, None, None, 0.0, "none"), source)


@pytest.mark.parametrize(
    "line",
    ["Answer:", "  Answer :", "**Final answer:**", "### Answer:", "#*# answer:", "ANSWER **:", "answer：_"],
)
def test_the_line_that_opens_the_answer(line: str) -> None:
    steps = "One step, so the answer: is near.\nanswers: none"
    reasoning, answer = prompted(f"{steps}\n{line} Four.")
    assert answer == "Four." and reasoning.startswith(steps)


@pytest.mark.parametrize("line", ["An answer: 4", "Finally answer: 4", "answer 4", "# # answer: 4"])
def test_lines_that_open_no_answer(line: str) -> None:
    whole = f"A step.\n{line}"
    assert prompted(whole) == ("", whole)


@pytest.mark.parametrize("run", [" ", "\t", "#", "*", " #", "answer ", "answer", "answer*", "\n ", "answer: "])
def test_an_answer_that_is_one_run_is_split_in_linear_time(run: str) -> None:
    """A quadratic pattern took a minute of processor time for 60,000 spaces, while no stream was read."""
    before = time.process_time()
    prompted(f"A step.\n{run * 60_000}x")
    assert time.process_time() - before < 2


def test_what_was_cut_off_or_loops_is_flagged(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(
        reply=lambda asked: "and so on " * 80 if asked.number == 1 else answer_of(asked.question, asked.number),
        finish=lambda asked: "length" if asked.number == 2 else "stop",
    )
    folder = make_run(tmp_path / "run", server.url, seeds=1, source='on_truncated = "drop"\non_flagged = "drop"')
    result = regenerate(folder)
    assert [json.loads(str(f)) for (f,) in candidates(folder, "flags")] == [[], ["loop"], ["truncated"]]
    done = {e["index"]: e["flags"] for e in events(result) if e["event"] == "CandidateDone"}
    assert done == {1: [], 2: ["loop"], 3: ["truncated"]}


FAULTS = (
    Fault("status", 429, "slow down", retry_after="0.3"),
    Fault("status", 500),
    Fault("cut", after=3),
    Fault("error", after=3),
    None,  # a stream that ends with the finish reason `abort`
)


def test_a_candidate_that_failed_is_asked_again_and_only_that_one(server: FakeServer, tmp_path: Path) -> None:
    """Seed i meets fault i, once, in its second candidate."""

    def first(asked: Asked) -> bool:
        return asked.number == 1 and asked.attempt == 1

    by_question = {question(n): fault for n, fault in enumerate(FAULTS)}
    server.behaviour = Behaviour(
        fault=lambda asked: by_question[asked.question] if first(asked) else None,
        finish=lambda asked: "abort" if first(asked) and by_question[asked.question] is None else "stop",
    )
    folder = make_run(tmp_path / "run", server.url, seeds=len(FAULTS))
    found = events(regenerate(folder))
    assert server.stats().asked == {(q, n): 1 + (n == 1) for q in by_question for n in range(3)}
    kept = rows(
        folder,
        "SELECT s.position, c.number - 1, reasoning, c.answer FROM candidates c JOIN seeds s ON s.id = c.seed_id",
    )
    assert sorted(kept) == [
        (s, n, reasoning_of(question(s), n), answer_of(question(s), n)) for s in range(len(FAULTS)) for n in range(3)
    ]
    retried = [e for e in found if e["event"] == "CandidateRetried"]
    assert {(e["index"], e["attempt"]) for e in retried} == {(2, 1)} and len(retried) == len(FAULTS)
    assert [e["wait_s"] for e in retried if "slow down" in e["reason"]] == [0.3]


def test_candidates_that_fail_for_good_leave_the_others_and_come_with_the_next_run(
    server: FakeServer, tmp_path: Path
) -> None:
    server.behaviour = Behaviour(fault=lambda asked: Fault("error") if asked.number == 1 else None)
    folder = make_run(tmp_path / "run", server.url, seeds=2, source="retries = 1")
    said = refused(ExitCode.FAILED, "run", folder, *REGENERATE)
    assert said.startswith("2 of 6 candidates failed (made-up trouble); the others are kept")
    assert len(stored(folder)) == 4
    server.behaviour = Behaviour()
    regenerate(folder)
    assert server.stats().asked == {(question(s), n): 3 if n == 1 else 1 for s in range(2) for n in range(3)}


# --- endpoints that no retry can mend ---


@pytest.mark.parametrize(
    "trouble", ["key refused", "no key", "wrong model", "html", "no chat", "down", "nobody", "busy"]
)
def test_an_unreachable_endpoint_is_one_sentence_and_exit_code_3(
    server: FakeServer, tmp_path: Path, trouble: str
) -> None:
    source, behaviour, url = 'api_key_env = "FAKE_KEY"\nretries = 1', Behaviour(), server.url
    if trouble == "key refused":
        behaviour, expected = Behaviour(api_key="another"), "refused the key in $FAKE_KEY (HTTP 401)"
    elif trouble == "no key":
        source, behaviour, expected = "", Behaviour(api_key="another"), "refused a request without a key (HTTP 401)"
    elif trouble == "wrong model":
        behaviour = Behaviour(models=("fake-8b-instruct", "other"))
        expected = "does not serve model 'fake-8b'; did you mean 'fake-8b-instruct'?"
    elif trouble == "html":
        behaviour = Behaviour(models_fault=Fault("html"), fault=lambda asked: Fault("html"))
        expected = "does not answer as an OpenAI-compatible server: check that base_url ends in /v1"
    elif trouble == "no chat":  # a proxy that knows the list of models and nothing else
        behaviour, expected = Behaviour(fault=lambda asked: Fault("html")), "does not answer as an OpenAI-compatible"
    elif trouble == "down":
        url, expected = "http://127.0.0.1:9/v1", "cannot reach http://127.0.0.1:9/v1"
    elif trouble == "nobody":
        url, expected = "http://no.such.host.invalid:8000/v1", "cannot reach http://no.such.host.invalid:8000/v1"
    else:
        behaviour = Behaviour(fault=lambda asked: Fault("status", 503, "overloaded"))
        expected = "keeps answering HTTP 503 overloaded; finished candidates are kept"
    server.behaviour = behaviour
    folder, began = make_run(tmp_path / "run", url, source=source), time.monotonic()
    said = refused(ExitCode.UNREACHABLE, "run", folder, *REGENERATE, FAKE_KEY=KEY)
    assert expected in said
    assert time.monotonic() - began < 15
    if trouble not in ("busy", "no chat"):
        assert not server.stats().asked, "nothing is asked of a server that the probe refused"


def test_a_request_that_the_server_finds_wrong_is_not_repeated(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(fault=lambda asked: Fault("status", 400, "this model's maximum is 4096 tokens"))
    folder = make_run(tmp_path / "run", server.url, seeds=1, source="concurrency = 1")
    said = refused(ExitCode.FAILED, "run", folder, *REGENERATE)
    assert "refused the request: HTTP 400 this model's maximum is 4096 tokens" in said
    assert server.stats().asked == {(question(0), n): 1 for n in range(3)}


def test_a_silent_server_times_out(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(fault=lambda asked: Fault("silence"))
    folder = make_run(tmp_path / "run", server.url, seeds=1, source="idle_timeout_s = 0.5\nretries = 0")
    assert "did not answer in time" in refused(ExitCode.UNREACHABLE, "run", folder, *REGENERATE)


def test_a_key_that_is_not_set_is_a_mistake_of_the_settings(server: FakeServer, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", server.url, source='api_key_env = "FAKE_KEY"')
    said = refused(ExitCode.USAGE, "run", folder, *REGENERATE, FAKE_KEY="")
    assert said == f"$FAKE_KEY is not set: set this environment variable to the key for {server.url}"


def test_the_key_is_written_nowhere(server: FakeServer, tmp_path: Path) -> None:
    """Not even when the server's own error message repeats it, as several do."""
    folder = make_run(tmp_path / "run", server.url, seeds=1, source='api_key_env = "FAKE_KEY"\nretries = 1')
    shown = []
    for status, code in ((400, 1), (401, 3), (500, 3), (None, 0)):
        fault = Fault("status", status, f"I do not like {KEY}") if status else None
        server.behaviour = Behaviour(api_key=KEY, fault=lambda asked, fault=fault: fault)  # type: ignore[misc]
        shown.append(faq_tui("run", folder, *REGENERATE, "--json", FAKE_KEY=KEY))
        assert shown[-1].code == code, shown[-1]
    assert any("I do not like ***" in result.out for result in shown)
    shown += [faq_tui(*command, folder, FAKE_KEY=KEY) for command in (("status",), ("doctor",))]
    assert all(asked.key == KEY for asked in server.requests) and server.requests
    assert not any(KEY in text for result in shown for text in (result.out, result.err))
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) >= 6
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []


# --- kill -9 ---


@pytest.mark.slow
def test_a_killed_run_asks_again_for_nothing_that_it_had_stored(server: FakeServer, tmp_path: Path) -> None:
    """Four kills at random moments; counted at the server."""
    seeds, at_once, dice = 24, 6, random.Random(20)
    everything = {(question(s), n) for s in range(seeds) for n in range(3)}
    server.behaviour = Behaviour(pieces_per_s=120, dialect="inline")
    folder = make_run(tmp_path / "run", server.url, seeds=seeds, source=f"concurrency = {at_once}")
    kept: set[tuple[str, int]] = set()
    asked_then: Counter[tuple[str, int]] = Counter()
    for _ in range(4):
        goal = server.stats().finished.total() + dice.randrange(4, 14)
        with started("run", folder, *REGENERATE) as process:
            server.wait_for(lambda stats, goal=goal: stats.finished.total() >= goal)  # type: ignore[misc]
            time.sleep(dice.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        server.wait_for(lambda stats: stats.in_flight == 0)
        asked = server.stats().asked
        again = {name for name in kept if asked[name] != asked_then[name]}
        assert not again, "asked again for candidates that were in faq.db"
        kept, asked_then = stored(folder), asked
    assert 0 < len(kept) < len(everything), "no kill came in the middle"
    assert any(s["state"] == "interrupted" for s in json.loads(faq_tui("status", folder, "--json").out)["stages"])

    regenerate(folder)
    final = server.stats()
    assert all(final.asked[name] == asked_then[name] for name in kept)
    assert stored(folder) == everything
    assert len(candidates(folder, "id")) == len(everything)
    assert final.asked.total() <= len(everything) + 4 * at_once, "only what was unfinished is asked again"

    before = final.asked
    assert [e["event"] for e in events(regenerate(folder))] == ["StageSkipped", "StageSkipped"]
    assert server.stats().asked == before


def test_more_candidates_or_seeds_ask_only_for_the_new_ones(server: FakeServer, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", server.url, seeds=2, source="candidates = 1")
    regenerate(folder)
    make_run(folder, server.url, seeds=3, source="candidates = 2")
    regenerate(folder)
    assert server.stats().asked == {(question(s), n): 1 for s in range(3) for n in range(2)}
    make_run(folder, server.url, seeds=3, source="candidates = 2\nsampling = { temperature = 0.1 }")
    regenerate(folder)
    assert set(server.stats().asked.values()) == {2}, "other sampling is another candidate"


def test_two_at_once_on_one_run_are_refused(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(pieces_per_s=5)
    folder = make_run(tmp_path / "run", server.url, seeds=1)
    with started("run", folder, *REGENERATE) as process:
        server.wait_for(lambda stats: stats.in_flight > 0)
        said = refused(ExitCode.FAILED, "run", folder, *REGENERATE)
        assert said.startswith(f"another faq-tui (process {process.pid}) is working on")
        assert json.loads(faq_tui("status", folder, "--json").out)["busy"] is True


def test_a_proxy_of_the_environment_does_not_stand_before_loopback(server: FakeServer, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", server.url, seeds=1)
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:9")
    assert "http_proxy" in environment(**proxies)
    assert faq_tui("run", folder, *REGENERATE, **proxies).code == ExitCode.DONE
