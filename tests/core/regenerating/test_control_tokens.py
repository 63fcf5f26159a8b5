"""A reply that holds a special token of the target, or what looks like one, is no answer."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.regenerating.control_tokens import ControlTokens, begins_with_tool_call
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import faq_tui, make_run, rows

OF = ControlTokens({"<turn|>": "the target", "[gMASK]": "the source", "<u>": "the target"})


@pytest.mark.parametrize(
    ("reasoning", "answer", "why"),
    [
        ("", "It is 20.<turn|>\n<|turn>user", "it contains <turn|>, a special token of the target"),
        ("so [gMASK]", "It is 20.", "it contains [gMASK], a special token of the source"),
        ("", "<u>20</u>", "it contains <u>, a special token of the target"),
        (
            "",
            "It is 20.<|im_end|>\n<|im_start|>user\nAnd 30?",
            "it contains <|im_end|>, which looks like a special token",
        ),
        ("<|eot_id|>", "It is 20.", "it contains <|eot_id|>, which looks like a special token"),
        ("", "<|reserved_7|>It is 20.", "it contains <|reserved_7|>, which looks like a special token"),
        ("", "<|tone>glad It is 20.", "it contains <|tone>, which looks like a special token"),
        ("", "[PLAN]add[/PLAN]It is 20.", "it contains [PLAN], which looks like a special token"),
        ("", "<｜User｜>And 30?", "it contains <｜User｜>, which looks like a special token"),
    ],
)
def test_a_control_token_and_whose_it_is(reasoning: str, answer: str, why: str) -> None:
    assert OF.found_in(reasoning, answer, "") == why


@pytest.mark.parametrize(
    "answer",
    [
        "a <b>bold</b> | b",
        "[NOTE] It is 20.",
        "if a <|> b",
        "x <| y |> z",
        "<div>20</div>",
        "[1, 2]",
        "a[/INSIDE]",
        "",
    ],
)
def test_what_is_no_control_token(answer: str) -> None:
    assert OF.found_in(answer, answer, "") is None


def test_a_question_about_a_template_may_be_answered() -> None:
    answer = "A turn begins with <|im_start|>."
    assert OF.found_in("", answer, "What does <|im_start|> mean?") is None and OF.found_in("", answer, "") is not None
    assert OF.found_in("", "A turn ends with <turn|>.", "What does <turn|> mean?") is not None, (
        "no sample may hold it"
    )


@pytest.mark.parametrize(
    "answer",
    ['<tool_call>{"name": "add"}</tool_call>', '[TOOL_CALLS][{"name"', "<|python_tag|>add(1)", "<function=add>"],
)
def test_the_text_of_a_tool_call(answer: str) -> None:
    assert begins_with_tool_call(f"\n{answer}") and not begins_with_tool_call(f"It is {answer}")


@pytest.mark.parametrize(
    ("said", "flag"),
    [
        ("It is 20.<|im_end|>\n<|im_start|>user\nAnd 30?", "control_token"),
        ("<reasoning>Ten and ten.", "unclosed_think"),
        ('<tool_call>{"name": "add"}</tool_call>', "tool_call"),
    ],
)
def test_a_candidate_with_one_is_unusable(tmp_path: Path, said: str, flag: str) -> None:
    with FakeServer(Behaviour(reply=lambda asked: said)) as server:
        source = 'candidates = 1\non_flagged = "drop"\non_truncated = "drop"\n'
        folder = make_run(tmp_path / "run", server.url, seeds=1, source=source)
        assert faq_tui("run", folder, "--until", "regenerate").code == ExitCode.DONE
    ((flags, why),) = rows(folder, "SELECT flags, why FROM candidates")
    assert flag in json.loads(flags) and json.loads(why)[flag]


def test_thousands_of_special_tokens_cost_no_time() -> None:
    """Gemma's tokenizer has six thousand; an answer in HTML holds the first characters of many of them."""
    many = ControlTokens({f"<unused{n}>": "the target" for n in range(6000)})
    text = "<ul> word " * 20_000
    began = time.process_time()
    assert many.found_in("", text, "") is None and time.process_time() - began < 1
    assert many.found_in("", f"{text}<unused5999>", "") == "it contains <unused5999>, a special token of the target"
