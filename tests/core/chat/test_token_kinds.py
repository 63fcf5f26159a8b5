"""Kinds of tokens as rendering records them: every text has its kind, also when cut, and the file keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.assembly.sample import truncate
from faq_tui.core.chat import token_kinds
from faq_tui.core.chat.render import Rendered, render_answered, render_raw, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import KINDS, KindsSearch, kinds_of, read_kinds, tokens_in, with_sink, write_kinds
from faq_tui.core.embedded import EmbeddedModel
from tests.support.template_bench import ANSWER, CHAIN, NAMES, QUESTION, REASONING, golden_templates
from tests.support.tiny import CHATML, make_tiny_model


@pytest.fixture(scope="session")
def templates(embedded_model: EmbeddedModel) -> dict[str, Template]:
    return golden_templates(embedded_model)


def texts_by_kind(template: Template, rendered: Rendered) -> dict[str, str]:
    """What the tokens of each kind decode to."""
    assert len(rendered.kinds) == len(rendered.ids)
    return {
        name: template.decode([t for t, kind in zip(rendered.ids, rendered.kinds, strict=True) if kind == number])
        for number, name in enumerate(KINDS)
    }


@pytest.mark.parametrize("reasoning", [REASONING, ""], ids=["reasoned", "plain"])
@pytest.mark.parametrize("name", NAMES)
def test_every_text_of_a_conversation_has_its_kind(templates: dict[str, Template], name: str, reasoning: str) -> None:
    template = templates[name]
    rendered = render_answered(template, CHAIN, reasoning, ANSWER)
    texts = texts_by_kind(template, rendered)
    # The white space at a text's edge may share a token with it.
    assert texts["reasoning"].strip() == reasoning
    assert "".join(texts["question"].split()) == "".join("".join(CHAIN[i]["content"] for i in (0, 1, 3)).split())
    assert "".join(texts["answer"].split()) == "".join(f"One.{ANSWER}".split())
    assert texts["sink"] == "", "the first token of the finished sample is the sink, not of the conversation"
    around = "".join(texts["template"].split())
    assert not any(text in around for text in ("Bebrief", "First?", "One.", "Two"))


def test_a_seed_and_a_raw_text(templates: dict[str, Template]) -> None:
    template = templates["smollm2"]
    seed = texts_by_kind(template, render_seed(template, QUESTION, None))
    assert (seed["question"], seed["reasoning"], seed["answer"]) == ("Hi", "", "")
    raw = texts_by_kind(template, render_raw(template, CHAIN, ANSWER))
    assert raw["template"] == raw["reasoning"] == ""
    assert raw["answer"].replace("\n", "") == f"One.{ANSWER}".replace("\n", "")
    unanswered = texts_by_kind(template, render_raw(template, QUESTION, None))
    assert (unanswered["question"], unanswered["answer"]) == ("Hi", "")


@pytest.mark.parametrize("name", ["qwen3", "deepseek_r1_distill", "magistral", "gpt_oss"])
def test_the_search_of_old_sets_says_the_same_but_for_white_space(templates: dict[str, Template], name: str) -> None:
    template = templates[name]
    rendered = render_answered(template, QUESTION, REASONING, ANSWER)
    tokenizer = template._tokenizer
    searched = KindsSearch.of(tokenizer).kinds(template.decode(rendered.ids), rendered.ids)
    unlike = [t for t, a, b in zip(rendered.ids, searched, with_sink(rendered.kinds), strict=True) if a != b]
    assert template.decode(unlike).strip() == ""


@given(
    *(st.integers(16, 200), st.integers(0, 60), st.integers(1, 60), st.integers(0, 60)),
    st.sampled_from(["keep_answer", "head", "tail"]),
)
def test_a_cut_sample_keeps_the_kinds_of_its_tokens(
    max_tokens: int, before: int, answer: int, reasoning: int, overflow: str
) -> None:
    total = before + reasoning + 2 + answer + 1
    spans = (before, before + reasoning) if reasoning else (0, 0), (before + reasoning + 2, total - 1)
    kinds = kinds_of(total, [(spans[0], "reasoning"), (spans[1], "answer")])
    try:
        kept = truncate(Rendered(tuple(range(total)), *spans, kinds=kinds), max_tokens, overflow)
    except NotAssembledError:
        return
    assert list(kept.kinds) == [kinds[token] for token in kept.ids]


def test_a_token_at_the_edge_belongs_to_the_text() -> None:
    offsets = [(0, 2), (2, 5), (5, 5), (5, 7)]
    assert tokens_in(offsets, (3, 6)) == (1, 4) and tokens_in(offsets, (7, 9)) == (0, 0)


ROWS = st.lists(st.binary(max_size=40).map(lambda row: bytes(byte % len(KINDS) for byte in row)), max_size=6)


@given(ROWS, st.integers(0, 6))
def test_the_file_gives_them_back(tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], head: int) -> None:
    path = tmp_path_factory.mktemp("kinds") / "new" / "elder.jsonl"
    write_kinds(path, rows, "abc")
    assert read_kinds(path, "abc", [len(row) for row in rows[:head]]) == rows[:head]
    assert read_kinds(path, "other ids", [len(row) for row in rows]) is None
    assert read_kinds(path, "abc", [*map(len, rows), 1]) is None
    assert [entry.name for entry in path.parent.iterdir()] == ["elder.jsonl"]


HOSTILE = ['[["answer", 1e9]]', '[["answer", 99999999999]]', '[["no", 1]]', "[[1]]", "7", "[" * 100_000, '{"a": 1}']


@pytest.mark.parametrize("line", [*HOSTILE, "", "null", '[["answer", -1]]', '[["answer", "1"]]', "\x00"])
def test_a_broken_file_is_as_none(tmp_path: Path, line: str) -> None:
    path = tmp_path / "elder.jsonl"
    path.write_text(json.dumps({"ids_hash": "abc"}) + f"\n{line}\n")
    assert read_kinds(path, "abc", [3]) is None
    path.write_bytes(b"\xff\xfe" + line.encode())
    assert read_kinds(path, "abc", [3]) is None
    assert read_kinds(tmp_path / "none.jsonl", "abc", [3]) is None


def test_names_and_order_are_those_of_stored_activations() -> None:
    assert token_kinds.KINDS == ("sink", "template", "question", "reasoning", "answer")


# As in DeepSeek-R1's distillates: no turn ends, the prompt opens the think block, history loses its reasoning.
OPENED = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[USER]{{ m['content'] }}{% else %}"
    "[ASSISTANT]{{ m['content'].split('</think>')[-1] }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[ASSISTANT]<think>\n{% endif %}"
)


SYSTEM = "<|im_start|>system\nBe of help.<|im_end|>\n" + CHATML


ASKED, THOUGHT, REPLIED = "why is it so", "because of that", "it is so"


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
    head = f"<|im_end|>[user]{ASKED}<|im_end|>[assistant]"
    found = by_kind(tokenizer, f"{head}{opening}{THOUGHT}{closing}{REPLIED}<|im_end|>")
    assert parts(found) == (ASKED, THOUGHT, REPLIED)


def test_a_template_that_writes_the_date(tokenizer: Any) -> None:
    tokenizer.chat_template = TODAY
    turns = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": REPLIED}]
    found = by_kind(tokenizer, Template(tokenizer).render(turns))
    assert parts(found) == (ASKED, "", REPLIED)


@pytest.mark.parametrize("template", [CHATML, OPENED, SYSTEM], ids=["chatml", "opened", "system"])
def test_a_conversation_with_reasoning(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    head = tokenizer.apply_chat_template(
        [{"role": "user", "content": ASKED}], tokenize=False, add_generation_prompt=True
    )
    thought = "" if head.rstrip().endswith("<think>") else "<think>\n"
    found = by_kind(tokenizer, f"{head}{thought}{THOUGHT}\n</think>\n\n{REPLIED}<|im_end|>")
    assert parts(found) == (ASKED, THOUGHT, REPLIED)


def test_several_turns_and_a_set_that_was_cut(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML
    turns = [
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": REPLIED},
        {"role": "user", "content": "and then what"},
        {"role": "assistant", "content": "nothing more"},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    found = by_kind(tokenizer, text)
    assert " ".join(found["question"].split()) == f"{ASKED}and then what"
    assert " ".join(found["answer"].split()) == f"{REPLIED}nothing more"
    cut = by_kind(tokenizer, text, cut=-6)
    assert cut["question"] == found["question"] and found["answer"].startswith(cut["answer"])


def test_raw_text_and_no_template_are_questions(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    found = by_kind(tokenizer, "just a raw text with </think> in it")
    assert not (found["answer"] or found["reasoning"] or found["template"])
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    assert by_kind(tokenizer, "raw<|im_end|>")["template"] == "<|im_end|>"
