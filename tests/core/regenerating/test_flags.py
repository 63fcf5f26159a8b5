"""Rubbish is found without a model, and the settings say what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.evaluation.texts import pydoc_prose
from faq_tui.core.regenerating.flags import (
    CONTROL,
    CUT_OFF,
    EMPTY,
    FLAG_WORDS,
    LANGUAGE,
    LOOP,
    NOT_FINISHED,
    REFUSAL,
    TRUNCATED,
    UNCLOSED,
    counts_in_words,
    loop_in,
    refusal_in,
    words_of,
)
from faq_tui.core.regenerating.language import in_another_language, language_of
from faq_tui.core.seeds.read import starter_path
from tests.support.fake_server import Asked, Behaviour, FakeServer
from tests.support.judge_bench import marks
from tests.support.shell import events, faq_tui, make_run, rows

STARTERS = [json.loads(line) for line in starter_path().read_text(encoding="utf-8").splitlines()]

# --- loops ---


@given(st.text(alphabet="abcdefghij klmnop", min_size=3, max_size=60), st.integers(30, 200))
def test_what_is_said_again_and_again_is_a_loop(phrase: str, times: int) -> None:
    looped = f"First some words. {(phrase.strip() or 'x') + ' '}" * times
    assert loop_in(looped)


def test_a_loop_that_changes_a_number_each_time_is_one() -> None:
    step = "Wait, let me check step {} of this once more, since I may have made an error. "
    assert loop_in("".join(map(step.format, range(99))))


def test_a_long_loop_that_zlib_cannot_see_is_found_by_its_runs_of_words() -> None:
    """Its window is 32 kB: a paragraph that comes back later than that looks new to it."""
    paragraph = pydoc_prose()[:45_000]
    assert loop_in(paragraph) is None
    assert "occurred earlier" in (loop_in(paragraph * 3) or "")


def test_chinese_without_spaces_loops_too() -> None:
    assert loop_in("开始。" + "这是一个很好的问题，" * 12)


@pytest.mark.parametrize("start", range(0, 300_000, 30_000))
def test_prose_is_no_loop(start: int) -> None:
    assert loop_in(pydoc_prose()[start : start + 12_000]) is None


def test_code_and_tables_are_no_loops() -> None:
    assert loop_in(Path(json.__file__).with_name("decoder.py").read_text()) is None
    table = "\n".join(f"| {n} | {n * n} | {n**3} | {'even' if n % 2 == 0 else ''} |" for n in range(40))
    assert loop_in(table) is None


# --- refusals ---

REFUSALS = [
    "I'm sorry, but I can't assist with that request.",
    "I’m sorry, I cannot help with this.",
    "**I cannot provide instructions for that.** Please ask something else.",
    "As an AI language model, I am unable to do that.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Desculpe, mas não posso ajudar com isso.",
    "Извините, но я не могу помочь с этим.",
    "很抱歉，我无法提供这方面的帮助。",
    "申し訳ありませんが、そのご質問にはお答えできません。",
    "죄송합니다만, 그 요청은 도와드릴 수 없습니다.",
    "آسف، لا أستطيع مساعدتك في ذلك.",
    "मुझे खेद है, लेकिन मैं इसमें मदद नहीं कर सकता।",
]
NO_REFUSALS = [
    "You can't divide by zero, so the limit does not exist.",
    "I can help with that: first, sort the list.",
    "The proof shows that we cannot reach the state; I'm sorry for the length.",
    "Sorry to hear about your starter! It is still safe to use.",
    "If the tenant says 'I cannot help', call the landlord.",
    "Das kann man nicht wissen, aber eine Schätzung hilft.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_in_many_languages(text: str) -> None:
    assert refusal_in(text)


@pytest.mark.parametrize("text", [*NO_REFUSALS, *[seed["question"] for seed in STARTERS]])
def test_what_is_no_refusal(text: str) -> None:
    assert refusal_in(text) is None


# --- language ---


@given(st.text(max_size=400))
def test_any_text_can_be_looked_at(text: str) -> None:
    loop_in(text), refusal_in(text), language_of(text), in_another_language(text, text)


# --- what becomes of them ---


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def regenerated(server: FakeServer, folder: Path, source: str) -> tuple[list[Any], list[Any]]:
    """(stored candidates, the bodies that were sent)."""
    text = f"candidates = 1\nsampling = {{ max_tokens = 100, seed = 5 }}\n{source}"
    result = faq_tui("run", make_run(folder, server.url, seeds=1, source=text), "--until", "regenerate", "--json")
    assert result.code == ExitCode.DONE, result
    kinds = [event["event"] for event in events(result)]
    assert kinds.count("CandidateDone") == 1 and kinds.count("CandidateStarted") == len(server.requests)
    query = "SELECT answer, flags, max_tokens, sampling_seed, requests, why FROM candidates"
    return rows(folder, query), [asked.body for asked in server.requests]


def cut_below(tokens: int) -> Behaviour:
    """An answer that needs so many."""
    return Behaviour(
        reply=lambda asked: f"asked for {asked.body.get('max_tokens')}",
        finish=lambda asked: "length" if asked.body.get("max_tokens", 0) < tokens else "stop",
    )


def test_a_truncated_candidate_is_asked_again_with_more_room(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = cut_below(150)
    found, sent = regenerated(server, tmp_path / "run", "retry_room = 2.0")
    assert found == [("asked for 200", "[]", 200, 5, 2, "{}")]
    assert [(body["max_tokens"], body["seed"]) for body in sent] == [(100, 5), (200, 5)]


def test_once_more_only_and_then_it_is_flagged(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = cut_below(1000)
    found, sent = regenerated(server, tmp_path / "run", 'on_truncated = "retry"')
    assert [row[:5] for row in found] == [("asked for 200", '["truncated"]', 200, 5, 2)] and len(sent) == 2
    assert json.loads(found[0][5])["truncated"].startswith("it reached max_tokens")


def test_more_room_ends_at_the_models_window(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = cut_below(1000)
    server.behaviour.max_model_len = 250
    found, sent = regenerated(server, tmp_path / "run", "retry_room = 16.0")
    assert len(sent) == 2 and sent[0]["max_tokens"] == 100 and "max_tokens" not in sent[1] and found[0][2] == 1600


def test_a_truncated_candidate_is_asked_again_with_another_seed(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(finish=lambda asked: "length" if asked.number == 5 else "stop")
    found, sent = regenerated(server, tmp_path / "run", 'on_truncated = "other_seed"')
    assert [(row[1], row[2], row[3], row[4]) for row in found] == [("[]", 100, 1005, 2)]
    assert [body["seed"] for body in sent] == [5, 1005]


def test_dropped_means_asked_once(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = cut_below(1000)
    found, sent = regenerated(server, tmp_path / "run", 'on_truncated = "drop"')
    assert len(sent) == 1 and found[0][1] == '["truncated"]'


@pytest.mark.parametrize(
    ("said", "flag", "policy"),
    [
        ("I'm sorry, but I can't help with that.", "refusal", "on_flagged"),
        ("and so on and on " * 60, "loop", "on_flagged"),
        ("这个问题是关于第零号问题的内容，答案很清楚。", "wrong_language", "on_flagged"),
        ("<think>hm</think>", "empty", "on_truncated"),
        ("<think>hm, hm", "unclosed_think", "on_truncated"),
    ],
)
def test_each_kind_of_rubbish_is_flagged_and_follows_its_policy(
    server: FakeServer, tmp_path: Path, said: str, flag: str, policy: str
) -> None:
    server.behaviour = Behaviour(reply=lambda asked: said)
    other = {"on_flagged": "on_truncated", "on_truncated": "on_flagged"}[policy]
    found, sent = regenerated(server, tmp_path / "run", f'{policy} = "retry"\n{other} = "drop"')
    assert flag in json.loads(found[0][1]) and json.loads(found[0][5])[flag]
    assert [body["max_tokens"] for body in sent] == [100, 200]


def test_flagged_candidates_are_never_picked_or_assembled(server: FakeServer, tmp_path: Path) -> None:
    def reply(asked: Asked) -> str:
        if asked.body["model"] == "judge":
            return marks(asked, lambda answer, place: 5)
        return "I'm sorry, but I can't help with that." if asked.number < 2 else "It is about rivers."

    server.behaviour = Behaviour(models=("fake-8b", "judge"), reply=reply)
    judge = f'[judge]\nkind = "llm"\nbase_url = "{server.url}"\nmodel = "judge"\n'
    folder = make_run(tmp_path / "run", server.url, seeds=1, source='on_flagged = "drop"', rest=judge)
    result = faq_tui("run", folder, "--until", "judge")
    assert result.code == ExitCode.DONE and "2 unusable (2 refusing)" in result.err
    shown = [asked.question for asked in server.requests if asked.body["model"] == "judge"]
    assert shown and not any("I'm sorry" in text for text in shown)
    picked = rows(folder, "SELECT c.number FROM picks p JOIN candidates c ON c.id = p.candidate_id")
    assert {number for (number,) in picked} <= {3}


def test_every_flag_has_words_in_one_table() -> None:
    flags = {TRUNCATED, UNCLOSED, EMPTY, LOOP, REFUSAL, LANGUAGE, CONTROL, *NOT_FINISHED}
    assert set(FLAG_WORDS) == flags and flags > CUT_OFF
    assert all(vars(words_of(flag)).values() for flag in flags)
    assert counts_in_words({LOOP: 1, TRUNCATED: 3, "new": 2}) == "3 cut off, 2 new, 1 looping"


@pytest.mark.parametrize("policy", ["on_flagged", "on_truncated"])
def test_a_loop_up_to_the_limit_is_no_reason_for_more_room(server: FakeServer, tmp_path: Path, policy: str) -> None:
    """It was asked for twice the tokens of the same loop."""
    server.behaviour = Behaviour(reply=lambda asked: "and so on and on " * 60, finish=lambda asked: "length")
    other = {"on_flagged": "on_truncated", "on_truncated": "on_flagged"}[policy]
    found, sent = regenerated(server, tmp_path / "run", f'{policy} = "drop"\n{other} = "retry"')
    assert set(json.loads(found[0][1])) == {"loop", "truncated"}
    assert len(sent) == (1 if policy == "on_flagged" else 2)
