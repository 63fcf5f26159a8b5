"""One table of finish reasons: only an end by the model itself makes an answer usable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.endpoints import finish
from faq_tui.core.endpoints.finish import ending_of, finish_reason_of
from faq_tui.core.endpoints.stream_ends import StreamEnds
from tests.support.fake_server import Asked, Behaviour, FakeServer
from tests.support.shell import events, faq_tui, make_run, rows


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def regenerated(server: FakeServer, folder: Path, seeds: int = 1, more: str = "") -> tuple[list[Any], list[Any], str]:
    """(flags and finish_reason of each candidate, events, summary) of a run whose retries cost nothing."""
    source = f'candidates = 1\nconcurrency = 1\nretry_wait_s = 0.01\non_flagged = "drop"\n{more}'
    result = faq_tui(
        "run", make_run(folder, server.url, seeds=seeds, source=source), "--until", "regenerate", "--json"
    )
    assert result.code == ExitCode.DONE, result
    told = events(result)
    summary = next(e["summary"] for e in told if e["event"] == "StageDone" and e["stage"] == "regenerate")
    return rows(folder, "SELECT flags, finish_reason, why FROM candidates ORDER BY id"), told, summary


ENDINGS = {
    finish.NORMAL: "stop STOP eos eos_token END_TURN endTurn stop_sequence COMPLETE FinishReason.STOP stop-sequence",
    finish.TRUNCATED: "length MAX_TOKENS maxTokens max_output_tokens token_limit model_length "
    "FINISH_REASON_MAX_TOKENS model_context_window_exceeded max_new_tokens",
    finish.FILTERED: "content_filter SAFETY recitation guardrail_intervened sensitive refusal PROHIBITED_CONTENT "
    "ERROR_TOXIC content_filtered",
    finish.TOOL_CALL: "tool_calls function_call tool_use MALFORMED_FUNCTION_CALL",
    finish.INTERRUPTED: "insufficient_system_resource time_limit ERROR_LIMIT repetition",
    finish.FAILED: "abort error network_error cancelled",
    finish.MISSING: "null NONE FINISH_REASON_UNSPECIFIED not_finished",
    finish.UNKNOWN: "banana stop_the_press 42 end-of-days",
}


@pytest.mark.parametrize(
    ("ending", "word"), [(key, word) for key, words in ENDINGS.items() for word in words.split()]
)
def test_a_word_in_any_spelling_has_its_ending(ending: str, word: str) -> None:
    assert ending_of(word) == ending_of(f" {word}\n") == ending


@given(st.text())
def test_any_word_has_one_ending(word: str) -> None:
    assert ending_of(word) in ENDINGS
    if ending_of(word) == finish.NORMAL:
        assert ending_of(word.upper()) == ending_of(word.lower()) == finish.NORMAL


NO_REASONS: list[Any] = [None, "", "null", "NONE", 5, [], {}, {"type": None}]


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        ({"finish_reason": "stop", "native_finish_reason": "STOP"}, "stop"),
        ({"finish_reason": None, "finishReason": "MAX_TOKENS"}, "MAX_TOKENS"),
        ({"finish_reason": {"type": "length", "length": 7}}, "length"),
        ({"finish_details": {"type": "stop", "stop": "</s>"}}, "stop"),
        *(({"finish_reason": value}, "") for value in NO_REASONS),
        ({}, ""),
    ],
)
def test_where_a_choice_has_its_reason(choice: dict[str, Any], word: str) -> None:
    assert finish_reason_of(choice) == word


@pytest.mark.parametrize(
    ("word", "flag", "counted"),
    [
        ("SAFETY", "filtered", "cut off by a filter"),
        ("guardrail_intervened", "filtered", "cut off by a filter"),
        ("max_output_tokens", "truncated", "cut off"),
        ("token_limit", "truncated", "cut off"),
        ("tool_use", "tool_call", "calling a tool"),
        ("ERROR_LIMIT", "interrupted", "interrupted by the server"),
        ("banana", "unknown_end", "with an unknown finish_reason"),
    ],
)
def test_an_answer_that_the_model_did_not_end_is_unusable(
    server: FakeServer, tmp_path: Path, word: str, flag: str, counted: str
) -> None:
    server.behaviour = Behaviour(finish=lambda asked: word)
    ((flags, reason, why),), _, summary = regenerated(server, tmp_path / "run", more='on_truncated = "drop"\n')
    assert (flags, reason) == (f'["{flag}"]', word) and f"1 unusable (1 {counted})" in summary
    assert flag == "truncated" or word in why, "the reason names the server's word"
    assert len(server.requests) == 1


@pytest.mark.parametrize("word", ["eos_token", "END_TURN", "COMPLETE"])
def test_an_answer_that_the_model_ended_is_usable(server: FakeServer, tmp_path: Path, word: str) -> None:
    server.behaviour = Behaviour(finish=lambda asked: word)
    ((flags, reason, _),), _, _ = regenerated(server, tmp_path / "run")
    assert (flags, reason) == ("[]", word)


@pytest.mark.parametrize("word", ["", "null", "unspecified"])
def test_without_a_finish_reason_a_complete_response_is_used_and_that_is_said_once(
    server: FakeServer, tmp_path: Path, word: str
) -> None:
    server.behaviour = Behaviour(finish=lambda asked: word, usage=False)
    found, told, _ = regenerated(server, tmp_path / "run", seeds=3)
    assert [row[:2] for row in found] == [("[]", "")] * 3 and len(server.requests) == 3
    assert sum("sends no finish_reason" in e.get("message", "") for e in told) == 1


def test_usage_at_the_end_shows_that_the_response_is_complete(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(finish=lambda asked: "", done=lambda asked: False)
    found, _, _ = regenerated(server, tmp_path / "run", seeds=2)
    assert [row[:2] for row in found] == [("[]", "")] * 2 and len(server.requests) == 2


@pytest.mark.parametrize("usage", [True, False])
def test_without_a_finish_reason_an_answer_of_max_tokens_is_cut_off(
    server: FakeServer, tmp_path: Path, usage: bool
) -> None:
    server.behaviour = Behaviour(finish=lambda asked: "", usage=usage)
    more = 'on_truncated = "drop"\nsampling = { max_tokens = 10 }\n'
    ((flags, _, _),), _, _ = regenerated(server, tmp_path / "run", more=more)
    assert flags == '["truncated"]'


def test_a_server_that_never_shows_an_end_is_not_paid_for_retries(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(finish=lambda asked: "", usage=False, done=lambda asked: False)
    found, told, summary = regenerated(server, tmp_path / "run", seeds=4)
    assert [row[0] for row in found] == ['["interrupted"]'] * 4 and "4 interrupted by the server" in summary
    assert len(server.requests) == 5, "only the first answer is requested again"
    assert sum("sends neither finish_reason nor [DONE]" in e.get("message", "") for e in told) == 1


def test_a_good_server_that_loses_an_answer_is_asked_again(server: FakeServer, tmp_path: Path) -> None:
    def arrives(_: Asked) -> bool:
        return len(server.requests) not in (2, 4)

    finish_reason = {True: "stop", False: ""}
    server.behaviour = Behaviour(finish=lambda asked: finish_reason[arrives(asked)], done=arrives, usage=False)
    found, _, _ = regenerated(server, tmp_path / "run", seeds=3)
    assert [row[:2] for row in found] == [("[]", "stop")] * 3 and len(server.requests) == 5


def test_what_the_ends_of_a_server_show() -> None:
    ends = StreamEnds()
    assert ends.shown(False, False) is None and ends.shown(False, False) is False
    assert ends.shown(False, True) is True and ends.shown(False, False) is None
    assert ends.shown(True, False) is True and ends.without_reason == 1
