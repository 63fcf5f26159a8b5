"""Servers that refuse or ignore the schema of a judge's reply: no request is wasted twice, and scores come out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.endpoints.chunks import ErrorChunkError
from faq_tui.core.endpoints.client import StatusError
from faq_tui.core.judging.reply_form import FORMS, IGNORED, OBJECT, SCHEMA, TEXT, ReplyForm, parameters
from tests.support.fake_server import Asked, FakeServer, Fault
from tests.support.judge_bench import is_judge, is_repair, judge_requests, judged, judging, marks
from tests.support.shell import faq_tui, rows

JUDGE = ("--until", "judge")
SCORES = "SELECT score FROM scores ORDER BY candidate_id"
ALONE = 'mode = "pointwise"\nprobe = 0\n'


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def form_of(asked: Asked) -> str:
    return str(asked.body.get("response_format", {}).get("type", TEXT))


def refusing(forms: tuple[str, ...], status: int, message: str) -> Any:
    def fault(asked: Asked) -> Fault | None:
        return Fault("status", status, message) if is_judge(asked) and form_of(asked) in forms else None

    return fault


def forms_of(server: FakeServer) -> list[str]:
    return [form_of(asked) for asked in judge_requests(server)]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "'response_format.type' must be one of 'text', 'json_object'"),
        (400, "Invalid request"),
        (400, ""),
        (422, "Unexpected fields in the request: {'response_format'}"),
        (501, "not implemented"),
        (500, "grammar compilation failed: unsupported schema keyword maxLength"),
        (404, "No endpoints found that support the requested parameters: structured_outputs"),
        (415, "guided decoding is disabled"),
    ],
)
@pytest.mark.parametrize("forms", [(SCHEMA,), (SCHEMA, OBJECT)])
def test_a_refused_form_is_left_out_after_one_request(
    server: FakeServer, tmp_path: Path, status: int, message: str, forms: tuple[str, ...]
) -> None:
    server.behaviour = judging(lambda asked: marks(asked, lambda *_: 7), fault=refusing(forms, status, message))
    folder = judged(tmp_path / "run", server.url, seeds=3, more=ALONE, source="candidates = 2")
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert rows(folder, SCORES) == [(7.0,)] * 6
    accepted = FORMS[len(forms)]
    assert forms_of(server) == [*forms, *[accepted] * 6]


@pytest.mark.parametrize(
    "said",
    [
        "I read both.\n\n```json\n{marks}\n```\nThat is all.",
        "{marks}",
        '{{"answers": [{list}]}}',
        'Here: {{"result": {{"ratings": [{list}]}}}}',
        "Answer A: 7/10\nAnswer B: 7/10",
        "**Candidate 1** gets 7 out of 10.\n**Candidate 2** gets 7 out of 10.",
    ],
)
def test_a_server_without_json_is_read_by_its_words(server: FakeServer, tmp_path: Path, said: str) -> None:
    def reply(asked: Asked) -> str:
        text = marks(asked, lambda *_: 7)
        each = ", ".join(json.dumps({"id": f"Answer {k}", **one}) for k, one in json.loads(text).items())
        return said.format(marks=text, list=each)

    fault = refusing((SCHEMA, OBJECT), 400, "This response_format type is unavailable now")
    server.behaviour = judging(reply, fault=fault)
    folder = judged(tmp_path / "run", server.url, seeds=2, source="candidates = 2")
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert rows(folder, SCORES) == [(7.0,)] * 4
    assert forms_of(server) == [SCHEMA, OBJECT, *[TEXT] * 4], "two orders for each seed, and no repair"


def test_what_cannot_be_read_is_unscored_with_its_reply(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(lambda asked: "[[B]] It is better.", fault=refusing((SCHEMA, OBJECT), 400, "no"))
    folder = judged(tmp_path / "run", server.url, source="candidates = 2")
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert rows(folder, SCORES) == [(None,)] * 2
    assert {raw for (raw,) in rows(folder, "SELECT raw FROM judge_replies")} == {"[[B]] It is better."}


def test_a_server_that_ignores_the_schema_is_no_longer_sent_one(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(lambda asked: "I like it. Overall: 6/10.")
    more = f"{ALONE}concurrency = 1\n"
    folder = judged(tmp_path / "run", server.url, seeds=4, more=more, source="candidates = 2")
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert rows(folder, SCORES) == [(6.0,)] * 8
    sent = [(form_of(asked), is_repair(asked)) for asked in judge_requests(server)]
    before = [pair for pair in sent if pair[0] == SCHEMA]
    assert before == [(SCHEMA, False), (SCHEMA, True)] * (IGNORED - 1) + [(SCHEMA, False)]
    assert sent[len(before) :] == [(TEXT, False)] * (8 - IGNORED), "and no repair is asked for"


def test_a_refusal_of_something_else_is_shown_and_not_tried_in_each_form_again(
    server: FakeServer, tmp_path: Path
) -> None:
    fault = refusing(FORMS, 400, "the model refuses this account")
    server.behaviour = judging(lambda asked: "", fault=fault)
    folder = judged(tmp_path / "run", server.url, seeds=3, more=ALONE, source="candidates = 1")
    result = faq_tui("run", folder, *JUDGE)
    assert result.code == ExitCode.FAILED and "the model refuses this account" in result.err
    assert forms_of(server)[:3] == list(FORMS) and set(forms_of(server)[3:]) == {SCHEMA}


def test_a_judges_window_is_no_refusal_of_the_form(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(lambda asked: marks(asked, lambda *_: 5), max_model_len=150, tells_window=False)
    server.behaviour.characters_per_token = 1000
    folder = judged(tmp_path / "run", server.url, more=f"{ALONE}max_tokens = 400\n", source="candidates = 1")
    faq_tui("run", folder, *JUDGE)
    assert set(forms_of(server)) == {SCHEMA}


async def _asked(form: ReplyForm, refused: tuple[str, ...], count: int) -> list[str]:
    """The forms of all requests, of which `count` are sent at once."""
    sent: list[str] = []

    async def request(added: dict[str, Any]) -> str:
        kind = str(added.get("response_format", {}).get("type", TEXT))
        sent.append(kind)
        await asyncio.sleep(0.001)
        if kind in refused:
            raise StatusError(400, "no response_format")
        return kind

    assert set(await asyncio.gather(*(form(request, {}) for _ in range(count)))) <= set(FORMS) - set(refused)
    return sent


@pytest.mark.parametrize(("refused", "known"), [((SCHEMA,), OBJECT), ((SCHEMA, OBJECT), TEXT), ((), SCHEMA)])
async def test_of_many_requests_at_once_one_is_refused(refused: tuple[str, ...], known: str) -> None:
    saved: list[str] = []
    assert await _asked(ReplyForm(save=saved.append), refused, 20) == [*refused, *[known] * 20]
    assert saved == [known]
    assert await _asked(ReplyForm(known, saved.append), refused, 5) == [known] * 5 and saved == [known]


@pytest.mark.parametrize(
    "error",
    [
        StatusError(500, "Internal Server Error"),
        ErrorChunkError({"error": {"message": "engine failed"}}, begun=False),
        ErrorChunkError({"object": "error", "message": "no grammar backend", "code": 500}, begun=False),
    ],
    ids=["500", "chunk", "chunk-500"],
)
async def test_a_server_that_fails_with_a_schema_gets_another_form(error: Exception) -> None:
    form, sent = ReplyForm(), list[str]()

    async def request(added: dict[str, Any]) -> str:
        sent.append(str(added.get("response_format", {}).get("type", TEXT)))
        if sent[-1] == SCHEMA:
            raise error
        return "fine"

    assert [await form(request, {}) for _ in range(2)] == ["fine"] * 2
    assert sent == [SCHEMA, OBJECT, OBJECT] and form.form == OBJECT


async def test_a_server_that_fails_later_keeps_its_form() -> None:
    form = ReplyForm(SCHEMA)

    async def request(added: dict[str, Any]) -> str:
        raise StatusError(500, "Internal Server Error")

    with pytest.raises(StatusError):
        await form(request, {})
    assert form.form == SCHEMA


async def test_a_server_that_changes_its_mind_is_followed() -> None:
    form = ReplyForm(SCHEMA)
    assert await _asked(form, (SCHEMA,), 1) == [SCHEMA, OBJECT] and form.form == OBJECT
    assert ReplyForm("from a newer release").form == SCHEMA


def test_a_reply_that_fits_keeps_the_schema() -> None:
    form = ReplyForm()
    form.read(True)
    for _ in range(2 * IGNORED):
        form.read(False)
    assert form.form == SCHEMA and parameters(TEXT, {}) == {}
