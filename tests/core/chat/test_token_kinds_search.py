"""Sets from before token kinds were recorded: whose token is it, searched for in the text."""

from __future__ import annotations

from typing import Any

import pytest

from faq_tui.core.chat.template import Template
from faq_tui.core.chat.token_kinds import KINDS, KindsSearch
from tests.support.tiny import CHATML, make_tiny_model

# As in DeepSeek-R1's distillates: no turn ends, the prompt opens the think block, history loses its reasoning.
OPENED = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[USER]{{ m['content'] }}{% else %}"
    "[ASSISTANT]{{ m['content'].split('</think>')[-1] }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[ASSISTANT]<think>\n{% endif %}"
)
SYSTEM = "<|im_start|>system\nBe of help.<|im_end|>\n" + CHATML
QUESTION, REASONING, ANSWER = "why is it so", "because of that", "it is so"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(make_tiny_model(tmp_path_factory.mktemp("tiny"), layers=1))


def by_kind(tokenizer: Any, text: str, cut: int | None = None) -> dict[str, str]:
    """What the tokens of each kind read as."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:cut]
    kinds = KindsSearch.of(tokenizer).kinds(tokenizer.decode(ids), ids)
    assert len(kinds) == len(ids) and kinds[0] == 0
    return {
        name: tokenizer.decode([token for token, kind in zip(ids, kinds, strict=True) if kind == number])
        for number, name in enumerate(KINDS)
    }


def parts(found: dict[str, str]) -> tuple[str, str, str]:
    return found["question"].strip(), found["reasoning"].strip(), found["answer"].strip()


CHANNELS = (
    "{% for m in messages %}<|im_end|>[{{ m['role'] }}]"
    "{% if m['role'] == 'assistant' %}<|channel|>final<|message|>{% endif %}{{ m['content'] }}{% endfor %}<|im_end|>"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
TODAY = "<|im_start|>system\n{{ strftime_now('%d %b %Y') }}<|im_end|>\n" + CHATML


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[THINK]", "[/THINK]"), ("<|channel|>analysis<|message|>", "<|im_end|>[assistant]<|channel|>final<|message|>")],
    ids=["block", "channel"],
)
def test_reasoning_in_a_block_or_a_channel(tokenizer: Any, opening: str, closing: str) -> None:
    tokenizer.chat_template = CHANNELS
    head = f"<|im_end|>[user]{QUESTION}<|im_end|>[assistant]"
    found = by_kind(tokenizer, f"{head}{opening}{REASONING}{closing}{ANSWER}<|im_end|>")
    assert parts(found) == (QUESTION, REASONING, ANSWER)


def test_a_template_that_writes_the_date(tokenizer: Any) -> None:
    tokenizer.chat_template = TODAY
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    found = by_kind(tokenizer, Template(tokenizer).render(turns))
    assert parts(found) == (QUESTION, "", ANSWER)


@pytest.mark.parametrize("template", [CHATML, OPENED, SYSTEM], ids=["chatml", "opened", "system"])
def test_a_conversation_with_reasoning(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    head = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], tokenize=False, add_generation_prompt=True
    )
    thought = "" if head.rstrip().endswith("<think>") else "<think>\n"
    found = by_kind(tokenizer, f"{head}{thought}{REASONING}\n</think>\n\n{ANSWER}<|im_end|>")
    assert parts(found) == (QUESTION, REASONING, ANSWER)


def test_several_turns_and_a_set_that_was_cut(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML
    turns = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": "and then what"},
        {"role": "assistant", "content": "nothing more"},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    found = by_kind(tokenizer, text)
    assert " ".join(found["question"].split()) == f"{QUESTION}and then what"
    assert " ".join(found["answer"].split()) == f"{ANSWER}nothing more"
    cut = by_kind(tokenizer, text, cut=-6)
    assert cut["question"] == found["question"] and found["answer"].startswith(cut["answer"])


def test_raw_text_and_no_template_are_questions(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    found = by_kind(tokenizer, "just a raw text with </think> in it")
    assert not (found["answer"] or found["reasoning"] or found["template"])
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    assert by_kind(tokenizer, "raw<|im_end|>")["template"] == "<|im_end|>"
