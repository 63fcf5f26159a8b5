"""What a server does not accept is left out at once, for every later request, and the run says so once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode, UsageError
from faq_tui.core.endpoints import Client, Reply, look, stream_chat
from faq_tui.core.endpoints.capabilities import (
    FORGET_AFTER_S,
    Capabilities,
    LearnedCapabilities,
)
from faq_tui.core.endpoints.chunks import BrokenStreamError
from faq_tui.core.endpoints.client import StatusError
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.settings import Endpoint, Sampling
from tests.support.fake_server import Behaviour, FakeServer, Fault, answer_of
from tests.support.fakes.strict import REFUSALS, Strict
from tests.support.schemas import valid
from tests.support.shell import events, faq_tui, make_run, question, rows

MESSAGES = [{"role": "user", "content": question(0)}]
UNTIL = ("--until", "regenerate")
LIMIT = ("max_tokens", "max_completion_tokens")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


async def ask(client: Client, **settings: Any) -> Reply:
    return await stream_chat(client, "fake-8b", MESSAGES, Sampling(**settings), 0, {})


def client_of(server: FakeServer, learned: LearnedCapabilities | None = None, **settings: Any) -> Client:
    return Client(Endpoint(base_url=server.url, model="fake-8b", **settings), learned)


def sent(server: FakeServer) -> list[set[str]]:
    return [set(asked.body) - {"model", "messages", "stream"} for asked in server.requests]


ALL = {"stream_options", "temperature", "top_p", "max_tokens", "seed", "top_k", "min_p"}


@pytest.mark.parametrize("dialect", sorted(REFUSALS))
async def test_a_refused_parameter_is_left_out_at_once_and_from_then_on(server: FakeServer, dialect: str) -> None:
    """One by one or together, as the server's dialect has it; the number of requests is bounded."""
    server.behaviour = Strict(refused=("top_k", "min_p", "seed"), dialect_of_refusals=dialect)
    said: list[str] = []
    async with client_of(server, LearnedCapabilities(url="http://s/v1", say=said.append)) as client:
        reply = await ask(client)
        assert reply.answer == answer_of(question(0), 0) and set(reply.left_out) == {"top_k", "min_p", "seed"}
        assert 2 <= reply.tries == len(server.requests) <= 4
        assert (await ask(client)).tries == 1
    assert sent(server)[-2:] == [ALL - {"top_k", "min_p", "seed"}] * 2
    (sentence,) = said
    assert sentence.startswith("http://s/v1 does not accept ") and "requests are sent without them" in sentence


@pytest.mark.parametrize("refused", ["stream_options", "temperature", "top_p", "seed"])
async def test_each_parameter_can_be_refused(server: FakeServer, refused: str) -> None:
    server.behaviour = Strict(refused=(refused,))
    async with client_of(server) as client:
        assert (await ask(client)).left_out == (refused,)
    assert sent(server) == [ALL, ALL - {refused}]


async def test_the_limit_has_two_names(server: FakeServer) -> None:
    server.behaviour = Strict(refused=("max_tokens",))
    async with client_of(server) as client:
        await ask(client, max_tokens=77)
        assert [asked.body.get("max_completion_tokens") for asked in server.requests] == [None, 77]
        assert client.learned.current.limit_name == "max_completion_tokens"


async def test_without_any_limit_the_reply_is_cut_here(server: FakeServer) -> None:
    server.behaviour = Strict(refused=LIMIT)
    async with client_of(server) as client:
        reply = await ask(client, max_tokens=3)
    assert (reply.finish_reason, reply.completion_tokens, reply.tries) == ("length", 3, 3)
    assert sent(server)[-1] == ALL - {"max_tokens"}


async def test_a_refusal_of_something_else_is_raised_and_nothing_is_learned(server: FakeServer) -> None:
    """It names a parameter, but the request without it is refused in the same words."""
    server.behaviour = Strict(refused=("messages",), refusal="top_k is unsupported in a question about {0}")
    said: list[str] = []
    async with client_of(server, LearnedCapabilities(say=said.append)) as client:
        with pytest.raises(StatusError):
            await ask(client)
        assert client.learned.current == Capabilities() and not said
    assert sent(server) == [ALL, ALL - {"top_k"}]


@pytest.mark.parametrize("refusal", ["Bad Request", "invalid_request_error", "400: malformed input", ""])
@pytest.mark.parametrize(
    ("refused", "left_out"),
    [
        (("top_k",), {"top_k", "min_p"}),
        (("stream_options",), {"stream_options"}),
        (("min_p", "seed"), {"top_k", "min_p", "stream_options", "seed"}),
    ],
)
async def test_a_refusal_without_a_reason_is_found_by_trial(
    server: FakeServer, refusal: str, refused: tuple[str, ...], left_out: set[str]
) -> None:
    server.behaviour = Strict(refused=refused, refusal=refusal or "{{}}")
    said: list[str] = []
    async with client_of(server, LearnedCapabilities(say=said.append)) as client:
        reply = await ask(client)
        assert reply.answer == answer_of(question(0), 0) and set(reply.left_out) == left_out
        assert reply.tries == len(server.requests) <= 7
        assert (await ask(client)).tries == 1 and len(said) == 1


async def test_without_a_reason_nothing_is_tried_after_an_answer(server: FakeServer) -> None:
    async with client_of(server) as client:
        await ask(client)
        server.behaviour = Strict(refused=("top_k",), refusal="Bad Request")
        with pytest.raises(StatusError):
            await ask(client)
        assert client.learned.current.left_out == ()
    assert len(server.requests) == 2


async def test_a_server_that_refuses_all_is_asked_a_bounded_number_of_times(server: FakeServer) -> None:
    server.behaviour = Strict(refused=("messages",), refusal="Bad Request")
    async with client_of(server) as client:
        with pytest.raises(StatusError):
            await ask(client)
        assert client.learned.current == Capabilities()
    assert len(server.requests) <= 7


@pytest.mark.parametrize("whole", [True, False], ids=["a response", "a chunk"])
async def test_a_refusal_under_http_200(server: FakeServer, whole: bool) -> None:
    server.behaviour = Strict(refused=("top_k",), streamed="whole" if whole else "chunk")
    async with client_of(server) as client:
        assert (await ask(client)).left_out == ("top_k",)
    assert sent(server) == [ALL, ALL - {"top_k"}]


async def test_an_error_after_a_part_of_the_answer_refuses_nothing(server: FakeServer) -> None:
    words = "top_k is unsupported"
    server.behaviour = Behaviour(fault=lambda asked: Fault("error", message=words) if asked.attempt == 1 else None)
    async with client_of(server) as client:
        with pytest.raises(BrokenStreamError, match=words):
            await ask(client)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 402, 429])
async def test_only_refusals_of_a_request_are_read(server: FakeServer, status: int) -> None:
    server.behaviour = Strict(refused=("top_k",), status=status)
    async with client_of(server) as client:
        with pytest.raises(StatusError):
            await ask(client)
    assert len(server.requests) == 1


async def test_requests_at_once_learn_together(server: FakeServer) -> None:
    server.behaviour = Strict(refused=("top_k", "seed"), dialect_of_refusals="groq")
    said: list[str] = []
    async with client_of(server, LearnedCapabilities(say=said.append)) as client:
        replies = await asyncio.gather(*(ask(client) for _ in range(8)))
        assert all(set(reply.left_out) == {"top_k", "seed"} for reply in replies)
    assert len(said) == 1 and len(server.requests) <= 3 * 8


async def test_the_settings_switch_parameters_off(server: FakeServer) -> None:
    keys = dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "seed", "max_tokens"), "off")
    async with client_of(server, leave_out=["stream_options"]) as client:
        await ask(client, **keys)
    assert sent(server) == [set()]


async def test_the_settings_add_parameters_and_headers(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_A_GATEWAY", "hush-hush-hush")
    seen: list[dict[str, str]] = []
    server.behaviour = Behaviour(on_headers=seen.append)
    more: dict[str, Any] = {
        "extra_body": {"repetition_penalty": 1.2, "top_k": 7, "provider": {"order": ["a"]}},
        "extra_headers": {"X-Title": "faq", "api-key": "$SECRET_OF_A_GATEWAY", "user-agent": "mine"},
        "chat_template_kwargs": {"reasoning_effort": "high"},
    }
    async with client_of(server, **more) as client:
        await ask(client, presence_penalty=0.5)
    body = server.requests[0].body
    assert {name: body[name] for name in more["extra_body"]} == more["extra_body"]
    assert (body["presence_penalty"], body["chat_template_kwargs"]) == (0.5, {"reasoning_effort": "high"})
    assert (seen[-1]["x-title"], seen[-1]["api-key"]) == ("faq", "hush-hush-hush")
    assert seen[-1]["user-agent"] == "mine"


async def test_a_header_without_its_variable_is_an_error_that_names_it(server: FakeServer) -> None:
    with pytest.raises(UsageError, match=r"\$NO_SUCH_VARIABLE_HERE is not set, .*api-key"):
        client_of(server, extra_headers={"api-key": "$NO_SUCH_VARIABLE_HERE"})


async def test_no_message_shows_a_secret_header(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_A_GATEWAY", "hush-hush-hush")
    endpoint = Endpoint(base_url=server.url, model="m", extra_headers={"api-key": "$SECRET_OF_A_GATEWAY"})
    fault = explain(StatusError(400, "the key hush-hush-hush is wrong"), endpoint)
    assert fault is not None and "hush" not in fault.reason + fault.advice and "***" in fault.reason


def test_only_a_request_without_the_parameter_proves_a_refusal() -> None:
    """Requests that were sent before it may still be answered, for example by another server behind the same URL."""
    said: list[str] = []
    saved: list[Capabilities] = []
    learned = LearnedCapabilities(url="u", say=said.append, save=saved.append)
    before = learned.current
    assert learned.refused(400, "", {"error": "Unknown parameter: top_k"}, {"top_k": 1}) == {"top_k"}
    learned.accepted(before)
    learned.answered("reasoning", True)
    assert not said and [known.left_out for known in saved] == [()]
    learned.accepted(learned.current)
    assert said == ["u does not accept top_k: requests are sent without it"]
    assert (saved[-1].left_out, saved[-1].reasoning_field) == (("top_k",), "reasoning")
    learned.accepted(learned.current)
    assert len(said) == 1 and len(saved) == 2


def test_a_known_refusal_is_not_said_again() -> None:
    said: list[str] = []
    learned = LearnedCapabilities(Capabilities(left_out=("top_k",), learned=time.time()), say=said.append)
    learned.accepted(learned.current)
    learned.refused(400, "", {"error": "Unknown parameter: seed"}, {"seed": 1})
    learned.accepted(learned.current)
    assert len(said) == 1 and "top_k and seed" in said[0]


# --- what is remembered ---


def run_of(server: FakeServer, folder: Path, source: str = "candidates = 1", seeds: int = 4) -> Path:
    return make_run(folder, server.url, seeds=seeds, source=source)


def notes(result: Any) -> list[str]:
    return [event["message"] for event in events(result) if event["event"] == "Note" and "accept" in event["message"]]


@pytest.mark.parametrize("dialect", ["openai", "transformers", "anthropic"])
def test_a_run_says_it_once_and_remembers_it(server: FakeServer, tmp_path: Path, dialect: str) -> None:
    server.behaviour = Strict(refused=("top_k", "min_p"), dialect_of_refusals=dialect)
    folder = run_of(server, tmp_path / "run")
    result = faq_tui("run", folder, *UNTIL, "--json")
    assert result.code == ExitCode.DONE, result
    assert notes(result) == [
        f"{server.url} does not accept min_p and top_k: requests are sent without them"
    ] or notes(result) == [f"{server.url} does not accept top_k and min_p: requests are sent without them"]
    stored = rows(folder, "SELECT left_out, sampling_seed FROM candidates")
    assert [(set(json.loads(names)), seed) for names, seed in stored] == [({"top_k", "min_p"}, 0)] * 4
    assert rows(folder, "SELECT sum(requests) FROM candidates") == [(len(server.requests),)]

    server.requests.clear()
    (folder / "faq.toml").write_text((folder / "faq.toml").read_text().replace("candidates = 1", "candidates = 2"))
    again = faq_tui("run", folder, *UNTIL, "--json")
    assert again.code == ExitCode.DONE and not notes(again)
    assert [names & {"top_k", "min_p"} for names in sent(server)] == [set()] * 4


@pytest.mark.parametrize(
    ("identity", "age_s", "kept"),
    [("same", 60.0, True), ("other", 60.0, False), ("", 60.0, True), ("same", FORGET_AFTER_S + 1, False)],
    ids=["same", "other", "not stated", "old"],
)
def test_what_is_known_is_forgotten(identity: str, age_s: float, kept: bool) -> None:
    """If the server describes its model in another way, or after a week."""
    known = Capabilities(("top_k",), identity="same", learned=time.time() - age_s)
    saved: list[Capabilities] = []
    learned = LearnedCapabilities(known, save=saved.append)
    learned.described(identity, None)
    assert learned.current.left_out == (("top_k",) if kept else ())
    assert kept or saved[-1].left_out == ()


@pytest.mark.parametrize("change", [{"max_model_len": 2048}, {"models": ("fake-8b", "new")}])
async def test_the_model_list_identifies_the_model(server: FakeServer, change: dict[str, Any]) -> None:
    """A further model on the same server changes nothing."""
    found = []
    for behaviour in (Behaviour(max_model_len=4096), Behaviour(**{"max_model_len": 4096, **change})):
        server.behaviour = behaviour
        async with client_of(server) as client:
            found.append(await look(client, client.endpoint))
            assert client.learned.current.window == found[-1].max_model_len
    assert (found[0].identity == found[1].identity) is ("models" in change)


async def test_a_window_from_a_refusal_is_remembered(server: FakeServer) -> None:
    server.behaviour = Behaviour(max_model_len=64, tells_window=False)
    saved: list[Capabilities] = []
    async with client_of(server, LearnedCapabilities(save=saved.append)) as client:
        with pytest.raises(StatusError):
            await ask(client)
    assert (saved[-1].window, saved[-1].window_from) == (64, "refusal")


@pytest.mark.parametrize(
    ("behaviour", "field", "usage"),
    [
        (Behaviour(dialect="reasoning"), "reasoning", True),
        (Behaviour(dialect="inline", usage=False), "inline", False),
        (Behaviour(dialect="none"), "none", True),
    ],
    ids=["field", "inline", "none"],
)
async def test_replies_show_reasoning_and_usage(
    server: FakeServer, behaviour: Behaviour, field: str, usage: bool
) -> None:
    server.behaviour = behaviour
    async with client_of(server) as client:
        await ask(client)
        assert (client.learned.current.reasoning_field, client.learned.current.usage) == (field, usage)


def test_facts_of_a_newer_version_can_be_read() -> None:
    known = Capabilities(left_out=("seed",), usage=True)
    assert Capabilities.from_json({**json.loads(json.dumps(known.to_json())), "new": 1}) == known


def test_facts_in_words() -> None:
    known = Capabilities(("seed",), "max_completion_tokens", "json_object", 4096, "listed", "reasoning", True)
    assert known.in_words() == [
        "does not accept seed: requests are sent without it",
        "expects max_completion_tokens in place of max_tokens",
        "window of 4,096 tokens, as its model list says",
        "judge replies as json_object",
        "reasoning in the field reasoning",
        "reports token counts",
    ]


def test_doctor_tries_the_parameters_and_status_shows_what_is_known(server: FakeServer, tmp_path: Path) -> None:
    """doctor asks anew: what a server accepts by now is sent again."""
    folder = run_of(server, tmp_path / "run")
    checks: dict[str, Any] = {}
    for refused in (("top_k",), ()):
        server.behaviour = Strict(refused=refused, max_model_len=4096, words=2, thought_words=2)
        result = faq_tui("doctor", folder, "--json")
        (found,) = [check for check in json.loads(result.out)["checks"] if check["name"] == "source elder"]
        checks[str(refused)] = found
        body = json.loads(faq_tui("status", folder, "--json").out)
        valid("status", body)
        (shown,) = body["servers"]
        assert (shown["url"], shown["left_out"], shown["window"]) == (server.url, list(refused), 4096)
        assert (shown["usage"], shown["reasoning_field"]) == (True, "reasoning")
    assert checks["('top_k',)"]["state"] == "warning" and checks["()"]["state"] == "ok"
    assert "does not accept top_k: requests are sent without it; window of 4,096" in checks["('top_k',)"]["found"]
    assert [asked.body["max_tokens"] for asked in server.requests] == [16] * 3


@pytest.mark.parametrize(("status", "state", "code"), [(401, "failed", 3), (429, "warning", 0), (400, "warning", 0)])
def test_doctor_reports_why_a_request_fails(
    server: FakeServer, tmp_path: Path, status: int, state: str, code: int
) -> None:
    server.behaviour = Behaviour(fault=lambda asked: Fault("status", status, "no such thing"))
    result = faq_tui("doctor", run_of(server, tmp_path / "run"), "--json")
    (found,) = [check for check in json.loads(result.out)["checks"] if check["name"] == "source elder"]
    assert found["state"] == state and found["advice"]
    assert code == 0 or result.code == code
