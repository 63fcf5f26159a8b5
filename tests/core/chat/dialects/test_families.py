"""Every dialect, by the same tests: found in a text however it is cut, taken by a template, shown on the screen."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.chat.dialects import (
    ReasoningDialect,
    ReasoningStream,
    dialect_of_template,
    opened_by,
    response_fields,
    split_reasoning,
    tag_dialects,
)
from faq_tui.core.chat.dialects.families import GEMMA, GPT_OSS, MISTRAL, SEED, THINK
from faq_tui.core.chat.render import render_answered
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import KINDS, KindsSearch
from faq_tui.core.extensions import DIALECTS
from faq_tui.core.regenerating.local_task import hidden_tokens
from faq_tui.tui.widgets.marked import marked
from tests.support.paths import ROOT
from tests.support.template_bench import QUESTION
from tests.support.tiny import make_tiny_model

TAGGED = [dialect for dialect in tag_dialects() if dialect.name in DIALECTS.builtin]
EACH = pytest.mark.parametrize("dialect", TAGGED, ids=lambda dialect: dialect.name)
TAGS = [tag for dialect in TAGGED for tag in dialect.tags]
# Tags, halves of tags and words: every way in which a chunk can end in the middle of something.
PIECES = st.sampled_from([*TAGS, *(tag[: len(tag) // 2] for tag in TAGS), *(tag[1:] for tag in TAGS), " ", "\n", "a"])
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join)
CUTS = st.lists(st.integers(0, 300), max_size=12)


def streamed(text: str, cuts: list[int]) -> tuple[str, str]:
    """(reasoning, answer) of the text fed in pieces."""
    stream, reasoning, answer = ReasoningStream(), "", ""
    bounds = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for start, end in itertools.pairwise(bounds):
        new_reasoning, new_answer = stream.feed(text[start:end])
        reasoning, answer = reasoning + new_reasoning, answer + new_answer
    return reasoning, answer


@given(TEXTS, CUTS)
def test_how_a_text_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    assert streamed(text, cuts) == streamed(text, []) == streamed(text, list(range(len(text))))


@given(st.sampled_from(TAGGED), TEXTS, st.booleans(), TEXTS, CUTS)
def test_a_stream_shows_what_the_whole_reply_says(
    dialect: ReasoningDialect, before: str, closes: bool, after: str, cuts: list[int]
) -> None:
    rest = f"{before}{dialect.close if closes else ''}{after}"
    text = dialect.open + rest
    assert streamed(text, cuts) == streamed(text, []) == streamed(text, list(range(len(text))))
    reasoning, answer = streamed(text, cuts)
    whole_reasoning, whole_answer, closed = split_reasoning(text)
    if closed:
        assert (reasoning.strip(), answer.strip()) == (whole_reasoning, whole_answer)
    else:  # the start of a tag at the very end is held back
        held = rest[len(reasoning) :]
        assert answer == "" and reasoning + held == rest and dialect.close.startswith(held) and held != dialect.close


@EACH
def test_reasoning_between_its_tags(dialect: ReasoningDialect) -> None:
    text = f"\n{dialect.opening}why{dialect.closing}so"
    assert split_reasoning(text) == ("why", "so", True)
    assert split_reasoning(f"{dialect.opening}why") == ("why", "", False)
    assert tuple(part.strip() for part in streamed(text, list(range(len(text))))) == ("why", "so")
    unopened = split_reasoning(f"why{dialect.closing}so")
    assert unopened == (("why", "so", True) if dialect.opened_by_prompt else ("", f"why{dialect.closing}so", True))
    assert opened_by(f"assistant{dialect.opening}") == dialect.open and opened_by("assistant\n") == ""


@EACH
def test_its_tokens_stand_out_on_the_screen(dialect: ReasoningDialect) -> None:
    text = marked(f"so {' '.join(dialect.special_tokens)} so")
    assert {text.plain[span.start : span.end] for span in text.spans} >= set(dialect.special_tokens)


def test_of_tags_that_begin_alike_the_longest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = (
        ReasoningDialect(name=name, title=name, help=name, open=f"<{name}>", close=f"</{name}>")
        for name in ("a", "a><b")
    )
    monkeypatch.setattr("faq_tui.core.chat.dialects.reading.tag_dialects", lambda: (short, long))
    for text, parts in (("<a><b>why</a></a><b>so", ("why</a>", "so")), ("<a>why</a>so", ("why", "so"))):
        assert split_reasoning(text) == (*parts, True)
        assert streamed(text, list(range(len(text)))) == parts


def test_thinking_is_another_tag_than_think() -> None:
    assert split_reasoning("<thinking>a</think></thinking>b") == ("a</think>", "b", True)
    assert split_reasoning("<think>a</thinking></think>b") == ("a</thinking>", "b", True)


def test_the_fields_of_a_reply_are_ours_first() -> None:
    assert response_fields()[:2] == ("reasoning", "reasoning_content")


@pytest.mark.parametrize("wrong", [{"open": "<a>"}, {"close": "<a>"}, {"open": "<a> ", "close": "</a>"}])
def test_a_dialect_needs_both_tags_without_white_space(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'odd'"):
        ReasoningDialect(name="odd", title="odd", help="odd", **wrong)


def test_the_guide_lists_every_dialect() -> None:
    page = (ROOT / "docs/guide/sources.md").read_text(encoding="utf-8")
    listed = page.partition("*dialect*:\n\n")[2].partition("\n\n")[0].splitlines()
    expected = []
    for dialect in (DIALECTS.get(name) for name in DIALECTS.builtin):
        text = dialect.help
        for tag in dialect.tags:
            text = text.replace(tag, f"`{tag}`")
        expected.append(f"- `{dialect.name}`: {text}")
    assert listed == expected


# ---- templates

GEMMA_TEMPLATE = (  # a finished turn shows no reasoning; channels inside content are dropped
    "{%- macro bare(t) -%}{%- set ns = namespace(o='') -%}{%- for p in t.split('<channel|>') -%}"
    "{%- set ns.o = ns.o + p.split('<|channel>')[0] -%}{%- endfor -%}{{ ns.o | trim }}{%- endmacro -%}"
    "{% set on = enable_thinking is defined and enable_thinking %}"
    "{% if on %}<|turn>system\n<|think|><turn|>\n{% endif %}"
    "{% for m in messages %}<|turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{% if m.tool_calls %}<|channel>thought\n{{ m.reasoning_content }}\n<channel|>{% endif %}"
    "{{ bare(m.content) if m.role == 'assistant' else m.content | trim }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% if not on %}<|channel>thought\n<channel|>{% endif %}{% endif %}"
)
SEED_TEMPLATE = (
    "{% for m in messages %}<seed:bos>{{ m.role }}\n{% if m.reasoning_content %}"
    "<seed:think>{{ m.reasoning_content | trim }}</seed:think>\n{% endif %}"
    "{{ m.content | trim }}<seed:eos>{% endfor %}"
    "{% if add_generation_prompt %}<seed:bos>assistant\n{% endif %}"
)
SPECIALS = {
    "gemma": ["<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>"],
    "seed": ["<seed:bos>", "<seed:eos>", "<seed:think>", "</seed:think>"],
}


def tokenizer_with(folder: Any, template: str, specials: list[str]) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(specials, special_tokens=True)
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"), layers=1)


@pytest.mark.parametrize(
    ("dialect", "template", "way", "expected"),
    [
        (
            GEMMA,
            GEMMA_TEMPLATE,
            "generation_prompt",
            "<|turn>system\n<|think|><turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n"
            "<|channel>thought\nwhy\n<channel|>so<turn|>\n",
        ),
        (
            SEED,
            SEED_TEMPLATE,
            "template",
            "<seed:bos>user\nHi<seed:eos><seed:bos>assistant\n<seed:think>why</seed:think>\nso<seed:eos>",
        ),
    ],
    ids=["gemma", "seed"],
)
def test_a_sample_holds_the_reasoning_as_its_model_writes_it(
    tiny: Any, dialect: ReasoningDialect, template: str, way: str, expected: str
) -> None:
    tokenizer = tokenizer_with(tiny, template, SPECIALS[dialect.name])
    assert dialect_of_template(template) is dialect
    rendered = render_answered(Template(tokenizer), QUESTION, "why", "so")
    assert tokenizer.decode(rendered.ids) == expected and rendered.way == way
    parts = {
        kind: tokenizer.decode([t for t, k in zip(rendered.ids, rendered.kinds, strict=True) if KINDS[k] == kind])
        for kind in ("question", "reasoning", "answer")
    }
    assert parts == {"question": "Hi", "reasoning": "why", "answer": "so"}
    with pytest.raises(NotAssembledError, match="special token"):
        render_answered(Template(tokenizer), QUESTION, f"why {dialect.special_tokens[0]}", "so")


@pytest.mark.parametrize(
    ("dialect", "template"),
    [(GPT_OSS, "<|channel|>analysis<|message|>"), (MISTRAL, "[THINK]"), (THINK, "a</think>"), (None, "<|im_start|>")],
)
def test_a_template_shows_its_dialect(dialect: ReasoningDialect | None, template: str) -> None:
    assert dialect_of_template(template) is dialect


def test_a_local_source_keeps_tags_that_are_special_tokens(tiny: Any) -> None:
    tokenizer = tokenizer_with(tiny, SEED_TEMPLATE, SPECIALS["seed"])
    ids = tokenizer("<seed:bos><seed:think>why</seed:think>so<seed:eos>", add_special_tokens=False)["input_ids"]
    text = tokenizer.decode([token for token in ids if token not in hidden_tokens(tokenizer)])
    assert text == "<seed:think>why</seed:think>so"
    tokenizer.chat_template = "{{ messages }}"
    hidden = hidden_tokens(tokenizer)
    assert tokenizer.decode([t for t in ids if t not in hidden]) == tokenizer.decode(ids, skip_special_tokens=True)


@EACH
def test_old_sets_are_searched_for_every_dialect(tiny: Any, dialect: ReasoningDialect) -> None:
    tokenizer = tokenizer_with(tiny, "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[end]", [])
    text = f"[user]Hi[assistant]{dialect.open}why{dialect.close}so[end]"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    kinds = KindsSearch.of(tokenizer).kinds(text, ids)
    reasoning = tokenizer.decode([t for t, k in zip(ids, kinds, strict=True) if KINDS[k] == "reasoning"])
    assert reasoning.strip() == "why"
