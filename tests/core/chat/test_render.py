"""Templates that lose, change or leave out something: refused, or built as the model writes it."""

from __future__ import annotations

from typing import Any

import pytest

from faq_tui.core.chat.render import fitting_turns, render_answered, render_seed
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
    template = Template(tokenizer)
    for answer in ("", "so"):
        rendered = render_seed(template, CHAIN, answer)
        assert template.decode(rendered.ids).startswith("user Be brief.\n\nFirst?<|im_end|>assistant One.<|im_end|>")


NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
NO_REPEAT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}"
)
UNKNOWN_ROLE = (
    "{% for m in messages %}{% if m.role not in ('user', 'assistant') %}{{ raise_exception('no ' + m.role) }}"
    "{% endif %}{% endfor %}"
)
TYPED = "{% for m in messages %}{% if m.role == 'system' %}{{ m.role + 1 }}{% endif %}{% endfor %}"
LATE_SYSTEM = (
    "{% for m in messages[1:] %}{% if m.role == 'system' %}{{ raise_exception('late') }}{% endif %}{% endfor %}"
)
TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
S, U, A = "system", "user", "assistant"


@pytest.mark.parametrize(
    ("rule", "roles", "expected"),
    [
        (NO_SYSTEM, (S, U), ["U0\n\nU1"]),
        (NO_SYSTEM, (S, U, A, U), ["U0\n\nU1", "U2", "U3"]),
        (UNKNOWN_ROLE, (S, U, A, S, U), ["U0\n\nU1", "U2", "U3\n\nU4"]),
        (TYPED, (S, S, U), ["U0\n\nU1\n\nU2"]),
        (NO_REPEAT, (U, U), ["U0\n\nU1"]),
        (NO_REPEAT, (U, A, A, U), ["U0", "U1\n\nU2", "U3"]),
        (NO_SYSTEM + NO_REPEAT, (S, U, U), ["U0\n\nU1\n\nU2"]),
        (LATE_SYSTEM, (S, U, A, U), ["U0", "U1", "U2", "U3"]),  # kept as it is
        (LATE_SYSTEM, (U, A, S, U), ["U0", "U1", "U2\n\nU3"]),
        ("", (S, U, U), ["U0", "U1", "U2"]),
    ],
)
def test_turns_that_the_template_does_not_accept_are_joined(
    tokenizer: Any, rule: str, roles: tuple[str, ...], expected: list[str]
) -> None:
    tokenizer.chat_template = rule + TURNS
    template = Template(tokenizer)
    messages = [{"role": role, "content": f"U{number}"} for number, role in enumerate(roles)]
    for rendered in (render_seed(template, messages, None), render_answered(template, messages, "", "so")):
        text = template.decode(rendered.ids)
        bodies = [turn.partition("\n")[2].partition("<|im_end|>")[0] for turn in text.split("<|im_start|>")[1:]]
        assert bodies in (expected, [*expected, "so"])
        first, last = rendered.question
        assert messages[-1]["content"] in template.decode(rendered.ids[first:last])
    turns = fitting_turns(lambda stand_ins: template.render(stand_ins, add_generation_prompt=True), messages)
    assert [turn["content"] for turn in turns] == expected


def test_turns_that_no_way_of_writing_saves_are_refused_for_the_first_reason(tokenizer: Any) -> None:
    tokenizer.chat_template = NO_SYSTEM + NO_REPEAT + TURNS
    messages = [{"role": role, "content": "x"} for role in (S, A, U)]
    with pytest.raises(NotAssembledError, match="System role not supported"):
        render_seed(Template(tokenizer), messages, None)
    assert fitting_turns(Template(tokenizer).render, messages) == messages


@pytest.mark.parametrize(
    "fault", ["{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{% for i in range(10**9) %}{% endfor %}", "{{ x.y.z }}"]
)
def test_a_template_that_fails_in_python_refuses_the_conversation(tokenizer: Any, fault: str) -> None:
    tokenizer.chat_template = fault + TURNS
    with pytest.raises(NotAssembledError, match="the chat template refuses the conversation: "):
        render_seed(Template(tokenizer), QUESTION, None)


def test_a_template_that_writes_megabytes_refuses_the_conversation(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ 'word ' * 1000000 }}" + TURNS
    with pytest.raises(NotAssembledError, match="far more than the conversation"):
        render_seed(Template(tokenizer), QUESTION, None)


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
