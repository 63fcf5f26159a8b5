"""What real chat templates make of a conversation, and that the assembler keeps it whole or refuses it."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jinja2.sandbox import SandboxedEnvironment

from faq_tui.core.chat.render import (
    ANSWER_PLACEHOLDER,
    REASONING_PLACEHOLDER,
    render_answered,
    render_raw,
    render_seed,
)
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.embedded import EmbeddedModel
from tests.support.template_bench import (
    ANSWER,
    AROUND,
    CHAIN,
    ENDS,
    GOLDEN,
    NAMES,
    QUESTION,
    REASONING,
    SPECIALS,
    WAYS,
    golden_templates,
    proven,
)

EXAMPLES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
ALL = pytest.mark.parametrize("name", NAMES)
MESSAGES = pytest.mark.parametrize("messages", [QUESTION, CHAIN], ids=["short", "chain"])
USER, ASSISTANT = "<|im_start|>user\nHi<|im_end|>\n", "<|im_start|>assistant\n"


@pytest.fixture(scope="session")
def templates(embedded_model: EmbeddedModel) -> dict[str, Template]:
    return golden_templates(embedded_model)


# ---- what the templates do by themselves: the reason for the proof

ROWS = {
    "content and reasoning_content": ({"content": "A", "reasoning_content": "R"}, "<think>\nR\n</think>\n\nA"),
    "the key is called reasoning": ({"content": "A", "reasoning": "R"}, "<think>\n\n</think>\n\nA"),
    "inline think": ({"content": "<think>\nR\n</think>\n\nA"}, "<think>\nR\n</think>\n\nA"),
    "a literal close inside": (
        {"content": "<think>\nR </think> more\n</think>\n\nA"},
        "<think>\nR \n</think>\n\nA",
    ),
    "empty reasoning_content and inline": (
        {"content": "<think>\nR\n</think>\n\nA", "reasoning_content": ""},
        "<think>\n\n</think>\n\n<think>\nR\n</think>\n\nA",
    ),
    "both": (
        {"content": "<think>\nS\n</think>\n\nA", "reasoning_content": "R"},
        "<think>\nR\n</think>\n\n<think>\nS\n</think>\n\nA",
    ),
    "plain answer": ({"content": "A"}, "<think>\n\n</think>\n\nA"),
    "unclosed think": ({"content": "<think>\nR A"}, "<think>\n\n</think>\n\n<think>\nR A"),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_qwen3_makes_of_an_assistant_message(row: str) -> None:
    message, expected = ROWS[row]
    # Newer transformers rename the key `reasoning` before the template sees it: this is the template itself.
    environment = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((GOLDEN / "qwen3.jinja").read_text(encoding="utf-8"))
    text = template.render(messages=[*QUESTION, {"role": "assistant", **message}])
    assert text == f"{USER}{ASSISTANT}{expected}<|im_end|>\n"


def test_qwen3_drops_earlier_reasoning_and_thinking_is_a_switch_of_the_prompt_alone(
    templates: dict[str, Template],
) -> None:
    qwen3 = templates["qwen3"]
    earlier = [*QUESTION, {"role": "assistant", "content": "A", "reasoning_content": "R"}, *QUESTION]
    assert qwen3.render(earlier) == f"{USER}{ASSISTANT}A<|im_end|>\n{USER}"
    off = qwen3.render(QUESTION, add_generation_prompt=True, enable_thinking=False)
    assert off == f"{qwen3.render(QUESTION, add_generation_prompt=True)}<think>\n\n</think>\n\n"
    said = [*QUESTION, {"role": "assistant", "content": "A", "reasoning_content": "R"}]
    assert qwen3.render(said) == qwen3.render(said, enable_thinking=False)


@pytest.mark.parametrize("name", ["qwen3_instruct_2507", "qwen2_5", "llama3_1", "smollm2", "chatml"])
def test_templates_that_lose_the_reasoning_without_a_word(templates: dict[str, Template], name: str) -> None:
    said = {"role": "assistant", "content": "A"}
    lost = templates[name].render([*QUESTION, said | {"reasoning_content": "R"}])
    assert lost == templates[name].render([*QUESTION, said])
    kept = render_answered(templates[name], QUESTION, "R", "A")
    assert "R\n\nA" in templates[name].decode(kept.ids)


@pytest.mark.parametrize("name", ["qwen2_5", "smollm2"])
def test_a_default_system_prompt_is_the_templates_own(templates: dict[str, Template], name: str) -> None:
    text = templates[name].decode(render_answered(templates[name], QUESTION, "", "A").ids)
    assert text.startswith("<|im_start|>system\nYou are ")
    own = templates[name].decode(render_answered(templates[name], CHAIN, "", "A").ids)
    assert own.startswith("<|im_start|>system\nBe brief.<|im_end|>")


def test_llama_writes_one_bos_and_always_the_same_date(templates: dict[str, Template]) -> None:
    llama = templates["llama3_1"]
    rendered = render_answered(llama, QUESTION, "R", "A")
    text = llama.decode(rendered.ids)
    assert text.count("<|begin_of_text|>") == 1 and "Today Date: 26 Jul 2024\n" in text


@pytest.mark.parametrize(
    "written",
    [
        # as Llama-3.2's does; as others do, which know no `date_string`
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}",
        "{% set date_string = strftime_now('%d %b %Y') %}",
        "{% macro of(form) %}{{ strftime_now(form) }}{% endmacro %}{% set date_string = of('%-d %B %Y, %H:%M') %}",
    ],
)
def test_templates_that_ask_for_the_date_get_the_same_one(embedded_model: EmbeddedModel, written: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_model.folder)
    tokenizer.chat_template = written + "{{ date_string }} {{ messages[0].content }}"
    assert Template(tokenizer).render(QUESTION) in ("26 Jul 2024 Hi", "26 July 2024, 00:00 Hi")


def test_gpt_oss_reasons_in_a_channel_and_magistral_in_a_block(templates: dict[str, Template]) -> None:
    gpt_oss = templates["gpt_oss"]
    text = gpt_oss.decode(render_answered(gpt_oss, QUESTION, "R", "A").ids)
    assert "Current date: 2024-07-26\n" in text
    assert text.endswith(
        "<|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>analysis<|message|>R<|end|>"
        "<|start|>assistant<|channel|>final<|message|>A<|return|>"
    )
    magistral = templates["magistral"]
    text = magistral.decode(render_answered(magistral, QUESTION, "R", "A").ids)
    assert text == "<s>[INST]Hi[/INST][THINK]R[/THINK]A</s>"


def test_r1_0528_opens_its_turn_behind_every_question(templates: dict[str, Template]) -> None:
    """The prompt adds nothing to the question: it must not be taken for a template without a turn of the model's."""
    r1 = templates["deepseek_r1_0528_qwen3_8b"]
    asked = r1.render(QUESTION)
    assert asked == r1.render(QUESTION, add_generation_prompt=True)
    assert asked == "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜>"


@pytest.mark.parametrize("name", ["deepseek_r1_distill", "deepseek_r1_0528_qwen3_8b"])
def test_r1_strips_reasoning_so_the_turn_is_built_as_the_model_writes_it(
    templates: dict[str, Template], name: str
) -> None:
    r1 = templates[name]
    said = {"role": "assistant", "content": "<think>\nR\n</think>\n\nA"}
    assert "R" not in r1.render([*QUESTION, said]).partition("Assistant")[2]
    rendered = render_answered(r1, QUESTION, "R", "A")
    assert rendered.way == "generation_prompt"
    opened = "<｜User｜>Hi<｜Assistant｜><think>\nR\n</think>\n\nA<｜end▁of▁sentence｜>"
    assert r1.decode(rendered.ids) == f"<｜begin▁of▁sentence｜>{opened}"


# ---- what the assembler makes of them


@MESSAGES
@ALL
def test_golden(templates: dict[str, Template], name: str, messages: list[dict[str, str]]) -> None:
    rendered = render_answered(templates[name], messages, REASONING, ANSWER)
    text = proven(templates[name], rendered, REASONING, ANSWER)
    path = GOLDEN / f"{name}.{'short' if messages is QUESTION else 'chain'}.txt"
    if os.environ.get("FAQ_TUI_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert rendered.way == WAYS[name]


@MESSAGES
@pytest.mark.parametrize("reasoning", [REASONING, ""], ids=["reasoned", "plain"])
@ALL
def test_the_ids_are_what_the_template_makes(
    templates: dict[str, Template], name: str, reasoning: str, messages: list[dict[str, str]]
) -> None:
    template, end = templates[name], ENDS[name]
    rendered = render_answered(template, messages, reasoning, ANSWER)
    text = proven(template, rendered, reasoning, ANSWER)
    said = {"role": "assistant", "content": ANSWER}
    if not reasoning:
        expected = template.render([*messages, said])
    elif WAYS[name] == "template":
        opening, closing = AROUND[name]
        before, _, after = template.render([*messages, said]).rpartition(ANSWER)
        before = before.removesuffix("<think>\n\n</think>\n\n").removesuffix("<|channel|>final<|message|>")
        expected = f"{before}{opening}{reasoning}{closing}{ANSWER}{after}"
    elif WAYS[name] == "generation_prompt":
        prompt = template.render(messages, add_generation_prompt=True).removesuffix("<think>\n")
        expected = f"{prompt}<think>\n{reasoning}\n</think>\n\n{ANSWER}{end}"
    else:
        expected = template.render([*messages, said | {"content": f"{reasoning}\n\n{ANSWER}"}])
    assert text == expected
    assert tuple(template.encode(expected)[0]) == rendered.ids
    thinks = name == "qwen3" or (reasoning and WAYS[name] == "generation_prompt")
    assert text.count("</think>") == text.count("<think>") == int(bool(thinks))
    last_turn = text[text.rindex(messages[-1]["content"]) + len(messages[-1]["content"]) :]
    assert last_turn[last_turn.index(ANSWER) :].count(end) == 1 and text.rstrip().endswith(end)
    assert text.count(ANSWER) == 1 and (not reasoning or text.count(reasoning) == 1)
    start, stop = rendered.question
    assert messages[-1]["content"] in template.decode(rendered.ids[start:stop]) and stop <= rendered.answer[0]


@ALL
def test_the_reasoning_of_earlier_turns_is_dropped(templates: dict[str, Template], name: str) -> None:
    thought = [m | {"content": f"<think>\nlong ago\n</think>\n\n{m['content']}"} for m in CHAIN[2:3]]
    earlier = [*CHAIN[:2], *thought, CHAIN[3]]
    rendered = render_answered(templates[name], earlier, REASONING, ANSWER)
    assert rendered == render_answered(templates[name], CHAIN, REASONING, ANSWER)
    assert render_seed(templates[name], earlier, None) == render_seed(templates[name], CHAIN, None)
    unclosed = [*CHAIN[:2], {"role": "assistant", "content": "<think>\nnever ends"}, CHAIN[3]]
    with pytest.raises(NotAssembledError, match="no closing tag"):
        render_answered(templates[name], unclosed, REASONING, ANSWER)


@ALL
def test_a_seed_without_an_answer(templates: dict[str, Template], name: str) -> None:
    rendered = render_seed(templates[name], CHAIN, None)
    assert templates[name].decode(rendered.ids) == templates[name].render(CHAIN)
    assert (rendered.reasoning, rendered.answer) == ((0, 0), (0, 0))
    answered = render_seed(templates[name], CHAIN, ANSWER)
    assert answered == render_answered(templates[name], CHAIN, "", ANSWER)


def test_a_raw_seed_is_its_texts_alone(templates: dict[str, Template]) -> None:
    template = templates["smollm2"]
    raw = render_raw(template, CHAIN, ANSWER)
    texts = [message["content"] for message in CHAIN]
    assert template.decode(raw.ids) == "\n\n".join([*texts, ANSWER]) and raw.way == "raw"
    assert ANSWER in template.decode(raw.ids[slice(*raw.answer)])
    assert template.decode(render_raw(template, CHAIN, None).ids) == "\n\n".join(texts)


@ALL
@pytest.mark.parametrize("where", ["question", "reasoning", "answer"])
def test_special_tokens_in_texts_are_refused(templates: dict[str, Template], name: str, where: str) -> None:
    family = next((marks for family, marks in SPECIALS.items() if name.startswith(family)), ["<|im_start|>"])
    for special in {ENDS[name], "<|endoftext|>", *family}:
        texts = dict.fromkeys(["question", "reasoning", "answer"], "fine") | {where: f"not {special} fine"}
        messages = [{"role": "user", "content": texts["question"]}]
        with pytest.raises(NotAssembledError, match="special token"):
            render_answered(templates[name], messages, texts["reasoning"], texts["answer"])
        if where == "question":
            with pytest.raises(NotAssembledError, match="special token"):
                render_seed(templates[name], messages, None)
            with pytest.raises(NotAssembledError, match="special token"):
                render_raw(templates[name], messages, None)


BREAKING = [
    ("a </think> b", "fine"),
    ("a <think> b", "fine"),
    ("fine", "a </think> b"),
    ("fine", "a <think> b"),
    ("", "a <think> b"),
    ("", "a </think> b"),
    ("", "<think>a</think>b"),
    (f"a {REASONING_PLACEHOLDER}", "fine"),
    ("fine", f"a {ANSWER_PLACEHOLDER}"),
    ("fine", "  "),
    ("fine", ""),
]


@pytest.mark.parametrize("name", ["qwen3", "qwen3_instruct_2507", "deepseek_r1_distill"])
@pytest.mark.parametrize(("reasoning", "answer"), BREAKING)
def test_what_would_break_the_think_block_is_refused(
    templates: dict[str, Template], name: str, reasoning: str, answer: str
) -> None:
    with pytest.raises(NotAssembledError):
        render_answered(templates[name], QUESTION, reasoning, answer)


def test_a_question_may_speak_of_think_tags(templates: dict[str, Template]) -> None:
    messages = [{"role": "user", "content": "What does </think> mean?"}]
    rendered = render_answered(templates["qwen3"], messages, "why", "so")
    assert templates["qwen3"].decode(rendered.ids).endswith("<think>\nwhy\n</think>\n\nso<|im_end|>\n")


def test_white_space_around_texts_is_the_templates(templates: dict[str, Template]) -> None:
    for name in NAMES:
        spaced = render_answered(templates[name], QUESTION, f"\n{REASONING}\n\n", f" {ANSWER}\n")
        assert spaced == render_answered(templates[name], QUESTION, REASONING, ANSWER)


def test_characters_that_the_vocabulary_lacks_are_refused(templates: dict[str, Template]) -> None:
    for lost in ("\U00040000", "\x04", "\x1d"):
        with pytest.raises(NotAssembledError, match="loses characters"):
            render_answered(templates["smollm2"], QUESTION, "", f"an {lost} answer")
        with pytest.raises(NotAssembledError, match="loses characters"):
            render_seed(templates["smollm2"], [{"role": "user", "content": f"a {lost} question"}], None)


PARTS = st.sampled_from(
    ["</think>", "<think>", "<|im_end|>", "<|eot_id|>", "<|im_", "end|>", "\n\n", "  ", "é", "日本", "👩‍👧", "\u0301"]
)
TEXTS = st.lists(st.text(max_size=12) | PARTS, max_size=8).map("".join) | st.integers(1, 3000).map("long ".__mul__)


@EXAMPLES
@given(st.sampled_from(NAMES), TEXTS, TEXTS, TEXTS)
@example("qwen3", "why?", "long " * 20_000, "a")
@example("deepseek_r1_distill", "why?", "because", "long " * 20_000)
@example("qwen3_instruct_2507", "w" * 100_000, "because", "a")
@example("smollm2", "why?", "because </think> " * 7_000, "a")
def test_any_text_is_whole_or_refused(
    templates: dict[str, Template], name: str, question: str, reasoning: str, answer: str
) -> None:
    template, end = templates[name], ENDS[name]
    messages = [{"role": "user", "content": question.strip() or "?"}]
    try:
        rendered = render_answered(template, messages, reasoning, answer)
    except NotAssembledError as refusal:
        assert str(refusal) and "\n" not in str(refusal)
        plain = not any(tag in reasoning + answer + question for tag in ("think>", "<|", "|>", "[", "<s>", "</s>"))
        usual = all(char.isascii() and (char.isprintable() or char == "\n") for char in question + reasoning + answer)
        assert not (plain and usual and answer.strip())  # what people and models usually write is never refused
        return
    reasoning, answer = reasoning.strip(), answer.strip()
    text = proven(template, rendered, reasoning, answer)
    asked = template.render(messages)
    assert text.startswith(asked)
    said = text[len(asked) :]
    assert said.count(end) == 1
    if reasoning and WAYS[name] != "inline":
        opening, closing = AROUND[name]
        assert (said.count(opening.strip()), said.count(closing.strip())) == (1, 1)
        assert said.partition(opening)[2].partition(closing)[0] == reasoning
