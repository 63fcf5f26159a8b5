"""What OpenAI-compatible servers do, a test for each habit, against a real HTTP server that has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.endpoints import Client, Reply, look, stream_chat, stream_choices
from faq_tui.core.endpoints.chunks import BrokenStreamError
from faq_tui.core.endpoints.client import StatusError
from faq_tui.core.settings import Endpoint, Sampling
from tests.support.fake_server import Behaviour, FakeServer, Fault, answer_of, reasoning_of
from tests.support.shell import events, faq_tui, make_run, question, refused, rows

SAID, THOUGHT = answer_of(question(0), 0), reasoning_of(question(0), 0)
MESSAGES = [{"role": "user", "content": question(0)}]
UNTIL = ("--until", "regenerate")
ONE = "candidates = 1\nretry_wait_s = 0.01\n"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def client_of(server: FakeServer, **settings: Any) -> Client:
    return Client(Endpoint(base_url=server.url, model="fake-8b", **settings))


async def reply_of(server: FakeServer, behaviour: Behaviour, **extra: Any) -> Reply:
    server.behaviour = behaviour
    async with client_of(server) as client:
        return await stream_chat(client, "fake-8b", MESSAGES, Sampling(), 0, extra)


async def broken(server: FakeServer, fault: Fault) -> str:
    with pytest.raises((BrokenStreamError, OSError)) as caught:
        await reply_of(server, Behaviour(fault=lambda asked: fault))
    return str(caught.value)


def regenerated(server: FakeServer, folder: Path, source: str = ONE, seeds: int = 1) -> tuple[list[Any], list[Any]]:
    """(stored candidates, events) of a run."""
    result = faq_tui("run", make_run(folder, server.url, seeds=seeds, source=source), *UNTIL, "--json")
    assert result.code == ExitCode.DONE, result
    query = "SELECT number, reasoning, answer, flags, dialect, max_tokens, requests FROM candidates ORDER BY id"
    return rows(folder, query), events(result)


# --- reasoning in the stream ---


async def test_reasoning_in_the_stream_vllm(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(dialect="reasoning"))
    assert (reply.reasoning, reply.answer, reply.dialect) == (THOUGHT, SAID, "reasoning")


async def test_reasoning_in_the_stream_sglang(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(dialect="reasoning_content"))
    assert (reply.reasoning, reply.answer, reply.dialect) == (THOUGHT, SAID, "reasoning_content")


async def test_reasoning_under_both_names_is_taken_once(server: FakeServer) -> None:
    both = [{"reasoning": "why ", "reasoning_content": "why "}, {"reasoning": "so", "reasoning_content": "so"}]
    reply = await reply_of(server, Behaviour(deltas=lambda asked: [*both, {"content": "yes"}]))
    assert (reply.reasoning, reply.answer) == ("why so", "yes")


async def test_reasoning_in_think_tags_without_a_reasoning_parser(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(dialect="inline"))
    assert (reply.reasoning, reply.answer, reply.dialect, reply.closed) == (THOUGHT, SAID, "inline", True)


async def test_reasoning_in_think_tags_without_the_opening_one(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(dialect="unopened"))
    assert (reply.reasoning, reply.answer, reply.dialect, reply.closed) == (THOUGHT, SAID, "inline", True)


async def test_reasoning_that_never_ends_is_no_answer(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(dialect="unclosed"))
    assert (reply.reasoning, reply.answer, reply.dialect, reply.closed) == (THOUGHT, "", "inline", False)


def test_the_dialect_is_recorded_with_each_candidate(server: FakeServer, tmp_path: Path) -> None:
    """One server whose answers differ: each candidate has its own."""
    kinds = ["reasoning", "unopened", "none"]
    server.behaviour = Behaviour(dialect=lambda asked: kinds[asked.number])  # type: ignore[arg-type,return-value]
    found, _ = regenerated(server, tmp_path / "run", "candidates = 3")
    assert sorted((number, dialect) for number, *_, dialect, _, _ in found) == [
        *[(1, "reasoning"), (2, "inline"), (3, "none")]
    ]


# --- what is sent ---


@pytest.mark.parametrize(("reasoning", "sent"), [("native", True), ("off", False), ("prompted", None)])
def test_the_thinking_switch(server: FakeServer, tmp_path: Path, reasoning: str, sent: bool | None) -> None:
    server.behaviour = Behaviour(reply=lambda asked: "Steps.\nAnswer: yes, so it is.")
    regenerated(server, tmp_path / "run", f'{ONE}reasoning = "{reasoning}"')
    (asked,) = server.requests
    assert asked.body.get("chat_template_kwargs") == (None if sent is None else {"enable_thinking": sent})


async def test_top_k_and_min_p_stand_at_the_top_level(server: FakeServer) -> None:
    await reply_of(server, Behaviour())
    body = server.requests[0].body
    assert (body["top_k"], body["min_p"]) == (20, 0.0) and "extra_body" not in body


async def test_every_sampling_value_is_sent(server: FakeServer) -> None:
    values = {"temperature": 0.3, "top_p": 0.4, "top_k": -1, "min_p": 0.2, "max_tokens": 77}
    sampling = Sampling.model_validate({**values, "presence_penalty": 0.1, "repetition_penalty": 1.1})
    async with client_of(server) as client:
        await stream_chat(client, "fake-8b", MESSAGES, sampling, 9, {})
    body = server.requests[0].body
    assert {name: body[name] for name in (*Sampling.model_fields,)} == {**sampling.model_dump(), "seed": 9}


# --- n > 1 ---


async def test_interleaved_choices_are_told_apart_by_their_index(server: FakeServer) -> None:
    server.behaviour = Behaviour(finish=lambda asked: "length" if asked.number == 1 else "stop")
    async with client_of(server) as client:
        found = await stream_choices(client, "fake-8b", MESSAGES, Sampling(), 0, {"n": 3})
    replies = {index: reply for index, reply in found.items() if isinstance(reply, Reply)}
    assert {i: (r.reasoning, r.answer) for i, r in replies.items()} == {
        i: (reasoning_of(question(0), i), answer_of(question(0), i)) for i in range(3)
    }
    assert [replies[i].finish_reason for i in range(3)] == ["stop", "length", "stop"]
    assert all(r.completion_tokens is None for r in replies.values()), "the usage is of all choices together"


async def test_one_choice_that_is_aborted_leaves_the_others(server: FakeServer) -> None:
    server.behaviour = Behaviour(finish=lambda asked: "abort" if asked.number == 1 else "stop")
    async with client_of(server) as client:
        found = await stream_choices(client, "fake-8b", MESSAGES, Sampling(), 0, {"n": 3})
    assert [type(found[i]) for i in range(3)] == [Reply, BrokenStreamError, Reply]


async def test_a_server_that_ignores_n_gives_one_choice(server: FakeServer) -> None:
    server.behaviour = Behaviour(knows_n=False)
    async with client_of(server) as client:
        found = await stream_choices(client, "fake-8b", MESSAGES, Sampling(), 0, {"n": 3})
    assert list(found) == [0]


def test_one_request_a_candidate_is_the_default(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(knows_n=False)
    found, _ = regenerated(server, tmp_path / "run", "candidates = 3")
    assert len(found) == 3 and len({row[2] for row in found}) == 3
    assert len(server.requests) == 3 and all("n" not in asked.body for asked in server.requests)


async def test_choices_that_nobody_asked_for_are_left_out(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(fault=lambda asked: Fault("order")))
    assert (reply.reasoning, reply.answer, reply.completion_tokens) == (THOUGHT, SAID, None)


# --- usage ---


async def test_the_usage_chunk_has_no_choices(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(dialect="none", tokens_per_piece=3))
    assert (reply.prompt_tokens, reply.completion_tokens) == (11, 3 * -(-len(SAID) // 7))
    assert (await reply_of(server, Behaviour(usage=False))).completion_tokens is None


async def test_usage_that_cannot_be_true_is_not_believed(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(fault=lambda asked: Fault("usage")))
    assert (reply.answer, reply.prompt_tokens, reply.completion_tokens) == (SAID, None, None)


# --- ends ---


async def test_error_in_midstream(server: FakeServer) -> None:
    assert await broken(server, Fault("error", message="engine died")) == "engine died"


@pytest.mark.parametrize("kind", ["error", "cut", "garbage", "reset", "stall"])
def test_error_in_midstream_is_retried(server: FakeServer, tmp_path: Path, kind: Any) -> None:
    """And only that candidate; nothing of the half answer stays."""
    bad = Fault(kind, after=3)
    server.behaviour = Behaviour(fault=lambda asked: bad if (asked.number, asked.attempt) == (1, 1) else None)
    source = "candidates = 3\nretry_wait_s = 0.01\nidle_timeout_s = 1"
    found, told = regenerated(server, tmp_path / "run", source)
    assert sorted((row[0], row[2], row[6]) for row in found) == [
        (n + 1, answer_of(question(0), n), 2 if n == 1 else 1) for n in range(3)
    ]
    assert server.stats().asked == {(question(0), n): 2 if n == 1 else 1 for n in range(3)}
    assert [e["index"] for e in told if e["event"] == "CandidateRetried"] == [2]


async def test_finish_reason_abort_is_no_answer(server: FakeServer) -> None:
    with pytest.raises(BrokenStreamError, match="finish_reason abort"):
        await reply_of(server, Behaviour(finish=lambda asked: "abort"))


def test_finish_reason_abort_is_retried(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(finish=lambda asked: "abort" if asked.attempt == 1 else "stop")
    found, _ = regenerated(server, tmp_path / "run")
    assert [row[6] for row in found] == [2]


async def test_a_stream_without_any_sign_of_an_end_is_no_answer(server: FakeServer) -> None:
    with pytest.raises(BrokenStreamError, match="finish_reason missing"):
        await reply_of(server, Behaviour(finish=lambda asked: "", done=lambda asked: False, usage=False))


async def test_a_server_that_does_not_stream_is_read_whole(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(streams=False))
    assert (reply.reasoning, reply.answer) == (THOUGHT, SAID)


async def test_utf8_split_between_chunks(server: FakeServer) -> None:
    text = "Größe 漢字 🦊 ends."
    reply = await reply_of(server, Behaviour(reply=lambda asked: text, fault=lambda asked: Fault("split")))
    assert reply.answer == text


async def test_duplicate_chunks_are_taken_once(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(fault=lambda asked: Fault("twice")))
    assert (reply.reasoning, reply.answer) == (THOUGHT, SAID)


async def test_equal_words_in_a_row_are_no_duplicates(server: FakeServer) -> None:
    reply = await reply_of(server, Behaviour(deltas=lambda asked: [{"content": "no "}] * 3))
    assert reply.answer == "no no no"


async def test_halves_of_a_character_in_two_chunks_become_one(server: FakeServer) -> None:
    fox = json.loads(r'["\ud83e", "\udd8a"]')
    reply = await reply_of(server, Behaviour(deltas=lambda asked: [{"content": half} for half in fox], usage=False))
    assert reply.answer == "🦊"


# --- the window ---


async def test_the_window_is_read_from_the_list_of_models(server: FakeServer) -> None:
    server.behaviour = Behaviour(max_model_len=4096)
    async with client_of(server) as client:
        assert (await look(client, client.endpoint)).max_model_len == 4096


def test_max_tokens_is_left_out_of_a_short_window_and_that_is_said(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(max_model_len=500)
    found, told = regenerated(server, tmp_path / "run", f"{ONE}sampling = {{ max_tokens = 490 }}")
    (asked,) = server.requests
    assert "max_tokens" not in asked.body and found[0][5] == 490, "the limit is recorded with the candidate"
    (note,) = [e["message"] for e in told if e["event"] == "Note" and "window" in e["message"]]
    assert "max_tokens 490 and the question do not fit into its window of 500 tokens: max_tokens is left out" in note


def test_a_request_that_passes_the_window_is_sent_without_max_tokens(server: FakeServer, tmp_path: Path) -> None:
    """A server that keeps its window to itself until a request passes it: asked once more, without a number."""
    refusal = (
        "This model's maximum context length is 300 tokens. However, you requested 520 tokens (20 in the messages, "
        "500 in the completion)."
    )
    server.behaviour = Behaviour(
        fault=lambda asked: Fault("status", 400, refusal) if asked.body.get("max_tokens", 0) > 280 else None
    )
    found, _ = regenerated(server, tmp_path / "run", f"{ONE}sampling = {{ max_tokens = 500 }}")
    assert [asked.body.get("max_tokens") for asked in server.requests] == [500, None]
    assert found[0][5] == 500


def test_a_question_that_fills_the_window_fails_alone(server: FakeServer, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", server.url, seeds=2, source=ONE)
    long = {"id": "long", "question": "word " * 400, "answer": "x"}
    with (folder / "seeds.jsonl").open("a") as file:
        file.write(json.dumps(long) + "\n")
    server.behaviour = Behaviour(max_model_len=450)
    result = faq_tui("run", folder, *UNTIL)
    assert result.code == ExitCode.DONE
    assert "warning: 1 of 3 candidates failed (the question leaves no room for an answer" in result.err
    assert len(rows(folder, "SELECT id FROM candidates")) == 2


# --- timeouts and refusals ---


async def test_a_slow_stream_is_cut_off_when_it_is_idle_and_not_before(server: FakeServer) -> None:
    """There is no cap on the whole: this one takes twice its idle timeout."""
    server.behaviour = Behaviour(reply=lambda asked: "slow but sure", piece=1, pieces_per_s=4)
    async with client_of(server, idle_timeout_s=1.5) as client:
        assert (await stream_chat(client, "fake-8b", MESSAGES, Sampling(), 0, {})).answer == "slow but sure"
        server.behaviour.pieces_per_s = 0.1
        with pytest.raises(TimeoutError, match="nothing came for"):
            await stream_chat(client, "fake-8b", MESSAGES, Sampling(), 0, {})


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_no_other_try_can_mend_is_asked_once(server: FakeServer, tmp_path: Path, status: int) -> None:
    server.behaviour = Behaviour(fault=lambda asked: Fault("status", status))
    code = ExitCode.FAILED if status == 400 else ExitCode.UNREACHABLE
    assert f"HTTP {status}" in refused(
        code, "run", make_run(tmp_path / "run", server.url, seeds=1, source=ONE), *UNTIL
    )
    assert server.stats().asked.total() == 1


# --- structured output: the judge's own tests show what becomes of a server that ignores it ---


async def test_response_format_is_sent_as_a_json_schema(server: FakeServer) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "mark", "schema": {"type": "object"}}}
    await reply_of(server, Behaviour(), response_format=wanted)
    body = server.requests[0].body
    assert body["response_format"] == wanted and "guided_json" not in body


async def test_a_key_that_the_server_repeats_is_masked(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-planted-in-the-environment-77"
    monkeypatch.setenv("PLANTED_KEY", key)
    server.behaviour = Behaviour(
        deltas=lambda asked: [
            *({"reasoning": piece} for piece in (f"I got {asked.key[:9]}", f"{asked.key[9:]} as key")),
            *({"content": piece} for piece in ("It is ", asked.key[:5], asked.key[5:20], f"{asked.key[20:]}.")),
        ],
        pieces_per_s=7,  # the pieces of the key come in several calls of `on_delta`
        finish=lambda asked: f"stop {asked.key}",
    )
    shown: list[tuple[str, str]] = []
    endpoint = Endpoint(base_url=server.url, model="fake-8b", api_key_env="PLANTED_KEY")
    async with Client(endpoint) as client:
        reply = await stream_chat(
            client,
            "fake-8b",
            MESSAGES,
            Sampling(),
            1,
            {},
            lambda *parts: shown.append(parts),
        )
    assert (reply.reasoning, reply.answer, reply.finish_reason) == ("I got *** as key", "It is ***.", "stop ***")
    assert len(shown) > 2
    assert ["".join(parts) for parts in zip(*shown, strict=True)] == ["I got *** as key", "It is ***."]


@pytest.mark.parametrize("where", ["refusal", "stream", "models"])
async def test_a_key_in_an_error_or_a_list_of_models_is_masked(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    key = "sk-planted-in-the-environment-77"
    monkeypatch.setenv("PLANTED_KEY", key)
    fault = Fault("error" if where == "stream" else "status", 400, f"Incorrect key {key}")
    server.behaviour = Behaviour(fault=lambda asked: fault, models=("fake-8b", f"model-of-{key}"))
    async with Client(Endpoint(base_url=server.url, model="fake-8b", api_key_env="PLANTED_KEY")) as client:
        if where == "models":
            assert key not in repr(await client.get_json("/models"))
            return
        with pytest.raises((StatusError, BrokenStreamError)) as error:
            await stream_chat(client, "fake-8b", MESSAGES, Sampling(), 1, {})
    assert "Incorrect key ***" in str(error.value) and key not in repr(vars(error.value))
