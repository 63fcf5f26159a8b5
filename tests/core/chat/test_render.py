"""Templates that lose, change or leave out something: refused, or built as the model writes it."""

from __future__ import annotations

from typing import Any

import pytest

from faq_tui.core.chat.render import render_answered, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.embedded import EmbeddedModel
from tests.support.template_bench import CHAIN, QUESTION

TEMPLATE_FAULTS = {
    "loses the answer": "{% for m in messages %}{{ m.content if m.role == 'user' else '' }}{% endfor %}",
    "shouts": "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
    "says it twice": "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
    "rewords": "{% for m in messages %}{{ m.role + m.content.replace('so', 'thus') }}{% endfor %}",
    "turns it around": "{% for m in messages | reverse %}{{ m.content }}{% endfor %}<|im_end|>",
    "refuses": "{{ raise_exception('no system message, please') }}",
}


@pytest.fixture
def tokenizer(embedded_model: EmbeddedModel) -> Any:
    """The embedded model's, for a template of one's own."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(embedded_model.folder)


@pytest.mark.parametrize("fault", TEMPLATE_FAULTS)
def test_a_template_that_loses_something(tokenizer: Any, fault: str) -> None:
    tokenizer.chat_template = TEMPLATE_FAULTS[fault]
    with pytest.raises(NotAssembledError, match="no system message" if fault == "refuses" else "changes or loses"):
        render_answered(Template(tokenizer), QUESTION, "why", "so")


def test_a_template_that_loses_the_system_message(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% for m in messages if m.role != 'system' %}{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}assistant {% endif %}"
    )
    for answer in ("", "so"):
        with pytest.raises(NotAssembledError, match="loses the question"):
            render_seed(Template(tokenizer), CHAIN, answer)


UNENDED = {
    "leaves the block open": "{{ '<think>' + m.reasoning_content if m.reasoning_content else '' }}{{ m.content }}",
    "strips and ends no turn": "{{ m.content }}",
    "adds a block of its own": (
        "{% if m.reasoning_content %}<think></think><think>{{ m.reasoning_content }}</think>{% endif %}"
        "{{ m.content }}{{ '<|im_end|>' if m.role == 'assistant' else '' }}"
    ),
}


@pytest.mark.parametrize("fault", UNENDED)
def test_what_the_template_leaves_out_is_built_as_the_model_writes_it(tokenizer: Any, fault: str) -> None:
    turns = f"{{% for m in messages %}}<|im_start|>{{{{ m.role }}}}\n{UNENDED[fault]}{{% endfor %}}"
    opening = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    tokenizer.chat_template = turns + opening
    template = Template(tokenizer)
    rendered = render_answered(template, QUESTION, "why", "so")
    assert rendered.way == "generation_prompt"
    expected = "<|im_start|>user\nHi<|im_start|>assistant\n<think>\nwhy\n</think>\n\nso<|im_end|>"
    assert template.decode(rendered.ids) == expected
    if fault == "adds a block of its own":
        return  # it ends its turns itself
    tokenizer.eos_token = None
    with pytest.raises(NotAssembledError, match="changes or loses"):
        render_answered(Template(tokenizer), QUESTION, "why", "so")


def test_a_prompt_that_switches_thinking_off_is_asked_to_switch_it_on(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{{ '<think>' if thinking else '</think>' }}{% endif %}"
    )
    text = Template(tokenizer).decode(render_answered(Template(tokenizer), QUESTION, "why", "so").ids)
    assert text.endswith("<|im_start|>assistant\n<think>why\n</think>\n\nso<|im_end|>")


WRITES_REASONING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize(
    "original",
    [
        "<think>\nbecause\n</think>\n\nso",
        "because</think>so",
        "[THINK]because[/THINK]so",
        "<thinking>because</thinking>\nso",
        "<seed:think>because</seed:think>so",
    ],
)
def test_the_reasoning_of_an_original_answer_goes_where_the_template_has_it(tokenizer: Any, original: str) -> None:
    tokenizer.chat_template = WRITES_REASONING
    template = Template(tokenizer)
    rendered = render_seed(template, QUESTION, original)
    assert rendered.ids == render_answered(template, QUESTION, "because", "so").ids
    assert rendered.reasoning != (0, 0)


def test_an_original_answer_that_never_ends_its_reasoning_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = WRITES_REASONING
    with pytest.raises(NotAssembledError, match="the reasoning of the original answer has no closing tag"):
        render_seed(Template(tokenizer), QUESTION, "<think>because")


def test_without_a_place_for_reasoning_an_original_answer_stays_as_it_is(tokenizer: Any) -> None:
    tokenizer.chat_template = WRITES_REASONING.replace("think>", "b>")
    template, original = Template(tokenizer), "[THINK]because[/THINK]so"
    if not template.reasoning_tags:
        assert render_seed(template, QUESTION, original).ids == render_answered(template, QUESTION, "", original).ids
