"""A full window, in the words of the engines of 2026: it costs one candidate at most, and never the stage."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.endpoints import Client, Reply, stream_chat, stream_choices
from faq_tui.core.endpoints.window import is_about_room, prompt_fills_window, room_in_refusal, window_in_refusal
from faq_tui.core.settings import Endpoint, Sampling
from tests.support.fake_server import Asked, Behaviour, FakeServer, Fault
from tests.support.shell import events, faq_tui, make_run, question, refused, rows, stored

UNTIL = ("--until", "regenerate")
LONG = "0123456789 " * 60 + "?"  # digits: a token a character or two, where the client takes three bytes for one
MESSAGES = [{"role": "user", "content": question(0)}]

VLLM_032_MORE_THAN_WINDOW = (
    "max_tokens=8192 cannot be greater than max_model_len=2048. Please request fewer output tokens. "
    "(parameter=max_tokens, value=8192)"
)
VLLM_026_MORE_THAN_WINDOW = (
    "max_tokens=8192 cannot be greater than max_model_len=max_total_tokens=2048. Please request fewer output tokens."
)
VLLM_026_AT_LEAST = (
    "This model's maximum context length is 2048 tokens. However, you requested 1848 output tokens and your prompt "
    "contains at least 201 input tokens, for a total of at least 2049 tokens. Please reduce the length of the input."
)
VLLM_026_CHARACTERS = (
    "This model's maximum context length is 2048 tokens. However, you requested 2048 output tokens and your prompt "
    "contains 155 characters (more than 0 characters, which is the upper bound for 0 input tokens). Please reduce."
)
VLLM_032_PROMPT = (
    "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input tokens, "
    "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."
)
VLLM_032_PROMPT_CHARACTERS = (
    "This model's maximum context length is 2048 tokens. However, your prompt contains 90000 characters (more than "
    "65536 characters, which is the upper bound for 2048 input tokens), which exceeds this limit even without any "
    "output tokens."
)
LLAMA_CPP = "request (1155 tokens) exceeds the available context size (1024 tokens), try increasing it"
SGLANG_TOTAL = (
    "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 "
    "tokens: 1000 tokens from the input messages and 4000 tokens for the completion."
)
SGLANG_INPUT = "The input (5000 tokens) is longer than the model's context length (4096 tokens)."


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def refuse(*refusals: Fault) -> Behaviour:
    """The first requests of each candidate get these, the others an answer."""
    return Behaviour(
        fault=lambda asked: refusals[asked.attempt - 1] if asked.attempt <= len(refusals) else None,
    )


def limits(server: FakeServer) -> list[int | None]:
    return [asked.body.get("max_tokens") for asked in server.requests]


# --- the words ---


@pytest.mark.parametrize(
    ("words", "window", "room", "fills"),
    [
        pytest.param(VLLM_032_MORE_THAN_WINDOW, 2048, None, False, id="vllm-0.32-max_tokens"),
        pytest.param(VLLM_026_MORE_THAN_WINDOW, 2048, None, False, id="vllm-0.26-max_tokens"),
        pytest.param(VLLM_026_AT_LEAST, 2048, None, False, id="vllm-0.26-at-least"),
        pytest.param(VLLM_026_CHARACTERS, 2048, None, False, id="vllm-0.26-characters"),
        pytest.param(VLLM_032_PROMPT, 2048, None, True, id="vllm-0.32-prompt"),
        pytest.param(VLLM_032_PROMPT_CHARACTERS, 2048, None, True, id="vllm-0.32-prompt-characters"),
        pytest.param(LLAMA_CPP, 1024, 1024 - 1155, True, id="llama.cpp"),
        pytest.param(SGLANG_TOTAL, 4096, 3096, False, id="sglang-total"),
        pytest.param(SGLANG_INPUT, 4096, 4096 - 5000, True, id="sglang-input"),
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_words_of_every_engine(
    server: FakeServer, tmp_path: Path, words: str, window: int, room: int | None, fills: bool, status: int
) -> None:
    """What they say, and what a run makes of them: a request without max_tokens, or a failed candidate at once."""
    assert (window_in_refusal(words), room_in_refusal(words)) == (window, room)
    assert is_about_room(words) and prompt_fills_window(words) is fills
    server.behaviour = refuse(Fault("status", status, words))
    folder = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1")
    result = faq_tui("run", folder, *UNTIL, "--json")
    if fills:
        assert result.code == ExitCode.FAILED and limits(server) == [8192]
        ((reason,),) = rows(folder, "SELECT reason FROM failed_candidates")
        assert reason.startswith(f"the question leaves no room for an answer in the model's window (HTTP {status}")
    else:
        assert result.code == ExitCode.DONE and limits(server) == [8192, None]
        assert rows(folder, "SELECT requests, flags FROM candidates") == [(2, "[]")]


@pytest.mark.parametrize(
    ("message", "room"),
    [
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (1000 in the "
            "messages, 4000 in the completion). Please reduce the length of the messages or completion.",
            3096,
        ),
        (
            "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total "
            "of 5000 tokens: 1000 tokens from the input messages and 4000 tokens for the completion.",
            3096,
        ),
        ("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", -904),
        ("this model's maximum is 4096 tokens", None),
        ("", None),
    ],
)
def test_refusals_that_tell_how_much_room_there_is(message: str, room: int | None) -> None:
    assert room_in_refusal(message) == room


@pytest.mark.parametrize(
    "words",
    [
        "the prompt contains at least 201 tokens in the messages, and the maximum context length is 2048 tokens",
        "maximum context length is 2048 tokens, at least 201 in the prompt",
    ],
)
def test_a_number_behind_at_least_is_no_count(words: str) -> None:
    assert room_in_refusal(words) is None


def test_transformers_serve_speaks_of_no_window() -> None:
    assert not is_about_room("Unexpected fields in the request: {'top_k', 'min_p'}")


@pytest.mark.parametrize(
    "words",
    [
        "Sorry: prompt plus completion budget is over our 2000 token ceiling",
        "your completion is over the token budget",
        "over the token limit of 4096",
    ],
)
def test_a_number_of_tokens_is_about_room(words: str) -> None:
    assert is_about_room(words)


def test_after_a_request_without_max_tokens_comes_half_of_it_and_then_the_candidate_has_failed(
    server: FakeServer, tmp_path: Path
) -> None:
    """The server names no window, and cannot do without max_tokens."""
    full, needed = Fault("status", 400, "context is full"), Fault("status", 422, "max_tokens: field required")
    folder = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1")
    server.behaviour = refuse(full, needed, full)
    assert "refused the request: HTTP 400 context is full" in refused(ExitCode.FAILED, "run", folder, *UNTIL)
    assert limits(server) == [8192, None, 4096]
    assert rows(folder, "SELECT requests FROM failed_candidates") == [(3,)]
    server.requests.clear()
    server.behaviour = Behaviour(fault=lambda asked: needed if "max_tokens" not in asked.body else full_above(asked))
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert limits(server) == [8192, None, 4096]
    assert rows(folder, "SELECT max_tokens, requests FROM candidates") == [(4096, 3)]


def full_above(asked: Asked) -> Fault | None:
    return Fault("status", 400, "context is full") if asked.body["max_tokens"] > 4096 else None


def test_the_window_that_a_refusal_names_stays_what_it_is(server: FakeServer, tmp_path: Path) -> None:
    """Every refusal of vLLM tells another "at least"; no request is ever sent with a number made of it."""
    server.behaviour = Behaviour(max_model_len=400, tells_window=False, characters_per_token=1)
    source = "candidates = 1\nconcurrency = 1\nsampling = { max_tokens = 390 }"
    folder = make_run(tmp_path / "run", server.url, seeds=20, source=source)
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert limits(server) == [390, None, *[None] * 19], "the first refusal names the window"


# --- a whole run against a server that does as vLLM does ---


@pytest.mark.parametrize("tells_window", [True, False])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_one_seed_that_is_too_long_fails_alone(
    server: FakeServer, tmp_path: Path, tells_window: bool, concurrency: int
) -> None:
    """12 seeds of 3 candidates: all are settled, the stage is done, and the failed ones are requested on demand."""
    server.behaviour = Behaviour(max_model_len=600, tells_window=tells_window, characters_per_token=1)
    source = f"concurrency = {concurrency}\nsampling = {{ max_tokens = 500 }}"
    folder = make_run(tmp_path / "run", server.url, seeds=0, source=source)
    texts = [LONG if n == 4 else f"{question(n)} {'0123456789 ' * 10}?" for n in range(12)]
    lines = [json.dumps({"id": f"q{n}", "question": text, "answer": "x"}) for n, text in enumerate(texts)]
    (folder / "seeds.jsonl").write_text("\n".join(lines) + "\n")
    result = faq_tui("run", folder, *UNTIL, "--json")
    assert result.code == ExitCode.DONE, result
    assert "warning: 3 of 36 candidates failed (the question leaves no room" in result.err
    kinds = Counter(event["event"] for event in events(result))
    assert (kinds["CandidateDone"], kinds["CandidateFailed"]) == (33, 3)
    assert stored(folder) == {(text, n) for text in texts if text != LONG for n in range(3)}
    lost = rows(folder, "SELECT f.number, f.reason FROM failed_candidates f ORDER BY f.number")
    assert [number for number, _ in lost] == [1, 2, 3]
    assert all(reason.startswith("the question leaves no room for an answer") for _, reason in lost)
    asked = server.stats().asked
    assert max(asked.values()) <= 2
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE and server.stats().asked == asked
    source_status = json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]
    assert (source_status["failed"], source_status["to_come"]["candidates"]) == (3, 0)
    again = faq_tui("run", folder, *UNTIL, "--retry-unusable")
    assert again.code == ExitCode.DONE and "3 of 3 candidates failed" in again.err
    assert server.stats().asked.total() == asked.total() + 3, "the failed ones are asked for again, and no other"


def test_an_estimate_of_the_prompt_that_is_too_low_costs_a_request_and_no_candidate(
    server: FakeServer, tmp_path: Path
) -> None:
    """136 tokens were estimated, 137 and more they were: the client's number passed the window by one."""
    server.behaviour = Behaviour(max_model_len=600, characters_per_token=1)
    text = "0123456789 " * 20
    folder = make_run(tmp_path / "run", server.url, seeds=0, source="candidates = 1\nsampling = { max_tokens = 450 }")
    (folder / "seeds.jsonl").write_text(json.dumps({"id": "digits", "question": text, "answer": "x"}) + "\n")
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert limits(server) == [450, None]


# --- refusals of one request, and of all ---


@pytest.mark.parametrize("status", [400, 413, 422, 451])
def test_a_refusal_of_one_request_is_a_failed_candidate(server: FakeServer, tmp_path: Path, status: int) -> None:
    """As a content filter refuses; the words of the server are stored with it."""
    server.behaviour = Behaviour(
        fault=lambda asked: Fault("status", status, "not with us") if asked.question == question(1) else None
    )
    folder = make_run(tmp_path / "run", server.url, seeds=12, source="concurrency = 2")
    result = faq_tui("run", folder, *UNTIL)
    assert result.code == ExitCode.DONE
    refusal = f"{server.url} refused the request: HTTP {status} not with us"
    assert f"warning: 3 of 36 candidates failed ({refusal})" in result.err
    assert "--retry-unusable requests them again" in result.err and "run the same command again" not in result.err
    assert len(stored(folder)) == 33 and set(server.stats().asked.values()) == {1}
    server.behaviour = Behaviour()
    assert faq_tui("run", folder, *UNTIL, "--retry-unusable").code == ExitCode.DONE
    assert rows(folder, "SELECT * FROM failed_candidates") == [] and len(stored(folder)) == 36


@pytest.mark.parametrize("concurrency", [1, 16])
def test_what_every_request_gets_ends_the_stage(server: FakeServer, tmp_path: Path, concurrency: int) -> None:
    """Also where each refusal has an id of its own in its words."""
    server.behaviour = Behaviour(
        fault=lambda asked: Fault("status", 422, f"Unexpected fields: messages (request {id(asked):x}0)")
    )
    source = f"candidates = 1\nconcurrency = {concurrency}"
    folder = make_run(tmp_path / "run", server.url, seeds=200, source=source)
    said = refused(ExitCode.FAILED, "run", folder, *UNTIL)
    assert said.startswith(f"{server.url} refused the request: HTTP 422 Unexpected fields")
    assert 8 <= server.stats().asked.total() <= 8 + 2 * concurrency


def test_a_server_that_turns_to_refuse_all_ends_the_stage(server: FakeServer, tmp_path: Path) -> None:
    seen = server.requests
    server.behaviour = Behaviour(fault=lambda asked: Fault("status", 400, "budget spent") if len(seen) > 50 else None)
    folder = make_run(tmp_path / "run", server.url, seeds=200, source="candidates = 1\nconcurrency = 4")
    said = refused(ExitCode.FAILED, "run", folder, *UNTIL)
    assert said.startswith(f"{server.url} refused the request: HTTP 400 budget spent")
    assert len(stored(folder)) == 50 and len(seen) < 80


def test_many_seeds_that_are_too_long_fail_alone_once_another_was_answered(
    server: FakeServer, tmp_path: Path
) -> None:
    server.behaviour = Behaviour(max_model_len=300)
    folder = make_run(tmp_path / "run", server.url, seeds=0, source="candidates = 1\nconcurrency = 1")
    texts = [question(0), *(f"{LONG} {LONG} {n}" for n in range(20)), question(1)]
    lines = [json.dumps({"id": f"q{n}", "question": text, "answer": "x"}) for n, text in enumerate(texts)]
    (folder / "seeds.jsonl").write_text("\n".join(lines) + "\n")
    result = faq_tui("run", folder, *UNTIL)
    assert result.code == ExitCode.DONE and "20 of 22 candidates failed" in result.err


def test_slow_answers_outlast_quick_refusals(server: FakeServer, tmp_path: Path) -> None:
    """Nine long seeds are refused before the first word of an answer comes: that is no verdict on the others."""
    server.behaviour = Behaviour(
        pieces_per_s=4, words=1, thought_words=1, fault=lambda a: filtered if "filtered" in a.question else None
    )
    filtered = Fault("status", 400, "content filter")
    folder = make_run(tmp_path / "run", server.url, seeds=0, source="candidates = 1\nconcurrency = 12")
    texts = [question(0), question(1), *(f"filtered {n}?" for n in range(9))]
    lines = [json.dumps({"id": f"q{n}", "question": text, "answer": "x"}) for n, text in enumerate(texts)]
    (folder / "seeds.jsonl").write_text("\n".join(lines) + "\n")
    result = faq_tui("run", folder, *UNTIL)
    assert result.code == ExitCode.DONE and "9 of 11 candidates failed" in result.err
    assert len(stored(folder)) == 2


# --- the limit that is kept on our side ---


async def cut(server: FakeServer, behaviour: Behaviour, most: int, **extra: Any) -> Reply:
    server.behaviour = behaviour
    sampling = Sampling(max_tokens=most)
    async with Client(Endpoint(base_url=server.url, model="fake-8b")) as client:
        return await stream_chat(client, "fake-8b", MESSAGES, sampling, 0, extra, cut_here=True)


async def test_a_stream_without_max_tokens_is_closed_at_the_limit(server: FakeServer) -> None:
    """At once: the server would go on for minutes."""
    words = [{"content": f"w{n} "} for n in range(1_000)]
    reply = await cut(server, Behaviour(deltas=lambda asked: words, pieces_per_s=200), 10)
    assert (reply.answer, reply.finish_reason, reply.completion_tokens) == (
        *(" ".join(f"w{n}" for n in range(10)), "length", 10),
    )
    assert limits(server) == [None] and reply.seconds < 2
    await asyncio.to_thread(server.wait_for, lambda stats: stats.in_flight == 0, 5)


async def test_an_answer_of_just_the_limit_is_whole(server: FakeServer) -> None:
    words = [{"content": f"w{n} "} for n in range(10)]
    reply = await cut(server, Behaviour(deltas=lambda asked: words), 10)
    assert (reply.finish_reason, reply.completion_tokens) == ("stop", 10)


async def test_reasoning_counts_towards_the_limit(server: FakeServer) -> None:
    deltas = [{"reasoning": "hm "}] * 6 + [{"content": "yes "}] * 6
    reply = await cut(server, Behaviour(deltas=lambda asked: deltas), 8)
    assert (reply.reasoning, reply.answer, reply.finish_reason) == ("hm hm hm hm hm hm", "yes yes", "length")


async def test_chunks_of_many_tokens_are_cut_off_by_their_text(server: FakeServer) -> None:
    reply = await cut(server, Behaviour(deltas=lambda asked: [{"content": "word " * 80}] * 50), 100)
    assert reply.finish_reason == "length" and len(reply.answer) <= 1300


async def test_an_answer_that_comes_in_one_piece_is_kept(server: FakeServer) -> None:
    whole = Behaviour(reply=lambda asked: "word " * 1000, streams=False, piece=10**6)
    assert len((await cut(server, whole, 10)).answer) == 4999
    whole.streams = True
    assert len((await cut(server, whole, 10)).answer) == 4999


async def test_a_usage_above_the_limit_is_believed_where_the_server_did_not_know_it(server: FakeServer) -> None:
    reply = await cut(server, Behaviour(dialect="none", tokens_per_piece=50, words=4), 20)
    assert reply.finish_reason == "stop" and reply.completion_tokens is not None and reply.completion_tokens > 20


async def test_several_choices_are_cut_off_each_for_itself(server: FakeServer) -> None:
    server.behaviour = Behaviour(
        deltas=lambda asked: [{"content": "w "}] * (5 if asked.number == 0 else 50), pieces_per_s=500
    )
    sampling = Sampling(max_tokens=10)
    async with Client(Endpoint(base_url=server.url, model="fake-8b")) as client:
        found = await stream_choices(client, "fake-8b", MESSAGES, sampling, 0, {"n": 2}, cut_here=True)
    replies = [found[n] for n in range(2)]
    assert [r.finish_reason for r in replies if isinstance(r, Reply)] == ["stop", "length"]


def test_an_answer_that_is_cut_off_here_is_flagged_as_truncated(server: FakeServer, tmp_path: Path) -> None:
    """The refusal said nothing of a window, so the answer could go on and on."""
    full = Fault("status", 400, "context is full")
    server.behaviour = Behaviour(
        deltas=lambda asked: [{"content": f"w{n} "} for n in range(5000)],
        fault=lambda asked: full if "max_tokens" in asked.body else None,
    )
    source = 'candidates = 1\non_truncated = "retry"\nsampling = { max_tokens = 40 }'
    folder = make_run(tmp_path / "run", server.url, seeds=1, source=source)
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    found = rows(folder, "SELECT flags, finish_reason, completion_tokens, max_tokens, requests FROM candidates")
    assert found == [('["truncated"]', "length", 40, 40, 2)], "and it is not asked for with more room"
