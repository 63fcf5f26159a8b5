"""The prompt of a relative is counted as the target counts it, and a seed that cannot fit is not sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.endpoints.window import TEMPLATE_TOKENS, prompt_tokens
from faq_tui.core.regenerating.candidate_requests import Question
from faq_tui.core.regenerating.prompt_size import PromptSizes, Room
from faq_tui.core.run.run import open_run
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import faq_tui, make_run, question, rows
from tests.support.tiny import make_tiny_model

RELATIVE, STRANGER = "Qwen3-32B", "Llama-3.1-70B-Instruct"
DIGITS = "0123456789 " * 30  # a token for each digit, so that the estimate is too low
WINDOW = 512


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "Qwen3-0.6B", layers=1)


def run_of(folder: Path, url: str, target: Path | str, model: str, content: str = "") -> Path:
    run = make_run(folder, url, seeds=2, target=str(target), source="candidates = 1")
    (run / "faq.toml").write_text((run / "faq.toml").read_text().replace("fake-8b", model))
    if content:
        rows = [{"id": "long", "question": content}, {"id": "short", "question": question(0)}]
        (run / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def room_of(folder: Path, content: str, window: int | None, max_tokens: int) -> Room:
    with open_run(folder) as run:
        asked = Question([{"role": "user", "content": content}], {"chat_template_kwargs": {"enable_thinking": True}})
        return asyncio.run(PromptSizes(run, "elder").room(window, asked, max_tokens))


def test_a_relative_is_counted_with_the_template(tmp_path: Path, target: Path) -> None:
    from transformers import AutoTokenizer

    folder = run_of(tmp_path / "run", "http://127.0.0.1:9/v1", target, RELATIVE)
    tokenizer = AutoTokenizer.from_pretrained(target)
    turns = [{"role": "user", "content": DIGITS}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    counted = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert counted > prompt_tokens(turns), "the estimate would do"
    assert room_of(folder, DIGITS, WINDOW, WINDOW) == Room(WINDOW - counted, True)


@pytest.mark.parametrize("model", [STRANGER, "mystery"])
def test_others_are_estimated(tmp_path: Path, target: Path, model: str) -> None:
    folder = run_of(tmp_path / "run", "http://127.0.0.1:9/v1", target, model)
    estimate = prompt_tokens([{"role": "user", "content": DIGITS}])
    assert room_of(folder, DIGITS, WINDOW, WINDOW) == Room(WINDOW - estimate, False)


def test_a_target_that_is_not_on_this_machine_is_not_downloaded(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", "http://127.0.0.1:9/v1", "Qwen/Qwen3-0.6B-nowhere", RELATIVE)
    assert not room_of(folder, DIGITS, WINDOW, WINDOW).counted


def test_nothing_is_loaded_where_the_answer_fits(tmp_path: Path, target: Path) -> None:
    folder = run_of(tmp_path / "run", "http://127.0.0.1:9/v1", target, RELATIVE)
    most = len(DIGITS) + TEMPLATE_TOKENS + 100
    assert not room_of(folder, DIGITS, most, 100).counted
    assert room_of(folder, DIGITS, most - 1, 100).counted
    assert room_of(folder, DIGITS, None, 100) == Room(None, False)


def test_a_broken_tokenizer_leaves_the_estimate(tmp_path: Path, target: Path) -> None:
    broken = tmp_path / "Qwen3-1.7B"
    broken.mkdir()
    (broken / "config.json").write_text((target / "config.json").read_text())
    (broken / "tokenizer.json").write_text("{}")
    folder = run_of(tmp_path / "run", "http://127.0.0.1:9/v1", broken, RELATIVE)
    assert not room_of(folder, DIGITS, WINDOW, WINDOW).counted


def test_a_seed_that_cannot_fit_fails_with_its_reason(server: FakeServer, tmp_path: Path, target: Path) -> None:
    """It is not sent, and the others are answered."""
    server.behaviour = Behaviour(models=(RELATIVE,), max_model_len=256, characters_per_token=1)
    folder = run_of(tmp_path / "run", server.url, target, RELATIVE, DIGITS)
    result = faq_tui("run", folder, "--until", "regenerate", "--json")
    assert result.code == ExitCode.DONE, "another try would fail as well"
    assert [asked.question for asked in server.requests] == [question(0)]
    assert rows(folder, "SELECT reason, requests FROM failed_candidates") == [
        ("the question leaves no room for an answer in the model's window of 256 tokens", 0)
    ]
    assert rows(folder, "SELECT count(*) FROM candidates") == [(1,)]
