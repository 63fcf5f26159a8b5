"""Chats that a template has written into one text."""

from __future__ import annotations

import pytest

from faq_tui.core.seeds.rendered_chats import LONGEST_TEXT, turns_in_text
from faq_tui.core.seeds.shapes import to_seed
from faq_tui.core.settings import Seeds

CHATML = (
    "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWhat?<|im_end|>\n"
    "<|im_start|>assistant\nSo.<|im_end|>\n"
)
LLAMA3 = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|><|start_header_id|>user"
    "<|end_header_id|>\n\nWhat?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nSo.<|eot_id|>"
)
CHATS = {
    "chatml": CHATML,
    "llama-3": LLAMA3,
    "zephyr": "<|system|>\nBe kind.</s>\n<|user|>\nWhat?</s>\n<|assistant|>\nSo.</s>",
    "phi": "<|system|>Be kind.<|end|><|user|>What?<|end|><|assistant|>So.<|end|>",
    "llama-2": "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nWhat? [/INST] So. </s>",
    "alpaca": "Be kind.\n\n### Instruction:\nWhat?\n\n### Response:\nSo.",
    "vicuna": "Be kind. USER: What? ASSISTANT: So.",
}
WITHOUT_SYSTEM = {
    "gemma": "<bos><start_of_turn>user\nWhat?<end_of_turn>\n<start_of_turn>model\nSo.<end_of_turn>\n",
    "mistral": "<s>[INST] What? [/INST] So.</s>",
    "guanaco": "### Human: What?### Assistant: So.",
    "guanaco-lines": "### Human: What?\n### Assistant: So.",
}


@pytest.mark.parametrize("field", ["text", "prompt", ""])
@pytest.mark.parametrize("name", [*CHATS, *WITHOUT_SYSTEM])
def test_a_rendered_chat_is_taken_apart(name: str, field: str) -> None:
    text = (CHATS | WITHOUT_SYSTEM)[name]
    seed = to_seed({field: text} if field else text, Seeds(path="x"), "x:1")
    system = [{"role": "system", "content": "Be kind."}] if name in CHATS else []
    assert [*seed.messages] == [*system, {"role": "user", "content": "What?"}] and seed.answer == "So."


def test_several_rounds() -> None:
    seed = to_seed({"text": "<s>[INST] a [/INST] b </s><s>[INST] c [/INST] d </s>"}, Seeds(path="x"), "x:1")
    assert [message["content"] for message in seed.messages] == ["a", "b", "c"] and seed.answer == "d"


@pytest.mark.parametrize(
    "text",
    [
        "What does the tag <|im_start|> mean in a template?",
        "What is [INST] for?",
        "### Human: a heading alone",
        "Explain the line USER: root in a log.",
        "<|assistant|> nobody asked",
        "### Human: " + "a" * LONGEST_TEXT,
    ],
)
@pytest.mark.timeout(20)
def test_other_texts_stay_questions(text: str) -> None:
    assert turns_in_text(text) is None


@pytest.mark.parametrize(
    "part", ["[INST] ", "<|im_start|>user\n", "### Human:", " ###", "\n", "USER: ", "</s>", "<<SYS>>"]
)
@pytest.mark.timeout(20)
def test_a_hostile_text_costs_no_time(part: str) -> None:
    turns_in_text(part * (LONGEST_TEXT // len(part)))
