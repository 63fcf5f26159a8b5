"""What is assembled is what the target's own template makes of the conversation, whole, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from faq_tui.core.assembly import RefusedError, Rendered, Sample, fit, render_answered, render_seed
from faq_tui.core.assembly.matching import cut_to_tokens
from faq_tui.core.assembly.render import ANSWER_MARK, REASONING_MARK
from faq_tui.core.assembly.sample import MIN_TOKENS, ids_hash, write_set
from faq_tui.core.assembly.template import Template
from faq_tui.core.embedded import EmbeddedModel

GOLDEN = Path(__file__).parent.parent / "golden"
EXAMPLES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
QUESTION = [{"role": "user", "content": "Hi"}]  # short: nothing may depend on how much stands before
CHAIN = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "First?"},
    {"role": "assistant", "content": "One."},
    {"role": "user", "content": "And then, what comes after the first of the two?"},
]
REASONING = "The first is one.\n\nSo the next: 1 + 1 = 2, as in `f(x) = x + 1`."
ANSWER = "**Two.**\n\nSee above: \\(1 + 1 = 2\\) — voilà."


@pytest.fixture(scope="session")
def templates(embedded_model: EmbeddedModel) -> dict[str, Template]:
    """The real tokenizer with each of the golden templates, and with its own."""
    from transformers import AutoTokenizer

    made = {}
    for name in ("qwen3", "deepseek_r1_distill", "chatml", "own"):
        tokenizer = AutoTokenizer.from_pretrained(embedded_model.folder)
        if name == "deepseek_r1_distill":
            marks = ["<|begin_of_sentence|>", "<|User|>", "<|Assistant|>", "<|end_of_sentence|>"]
            tokenizer.add_tokens(marks, special_tokens=True)
            tokenizer.bos_token, tokenizer.eos_token = marks[0], marks[3]
        if name != "own":
            tokenizer.chat_template = (GOLDEN / f"{name}.jinja").read_text(encoding="utf-8")
        made[name] = Template(tokenizer)
    return made


NAMES = pytest.mark.parametrize("name", ["qwen3", "deepseek_r1_distill", "chatml", "own"])
MESSAGES = pytest.mark.parametrize("messages", [QUESTION, CHAIN], ids=["short", "chain"])
ENDS = {
    "qwen3": "<|im_end|>",
    "deepseek_r1_distill": "<|end_of_sentence|>",
    "chatml": "<|im_end|>",
    "own": "<|im_end|>",
}
WAYS = {"qwen3": "template", "deepseek_r1_distill": "generation_prompt", "chatml": "inline", "own": "inline"}


def proven(template: Template, rendered: Rendered, reasoning: str, answer: str) -> str:
    """The sample's text, after checking that reasoning and answer stand whole where the spans say."""
    text = template.decode(rendered.ids)
    (first, last), (start, end) = rendered.reasoning, rendered.answer
    assert answer in template.decode(rendered.ids[start:end])
    if reasoning:
        assert reasoning in template.decode(rendered.ids[first:last]) and last <= start
        assert text.index(reasoning) < text.rindex(answer)
    else:
        assert (first, last) == (0, 0)
    return text


@MESSAGES
@NAMES
def test_golden(templates: dict[str, Template], name: str, messages: list[dict[str, str]]) -> None:
    rendered = render_answered(templates[name], messages, REASONING, ANSWER)
    text = proven(templates[name], rendered, REASONING, ANSWER)
    path = GOLDEN / f"{name}.{'short' if messages is QUESTION else 'chain'}.txt"
    assert text == path.read_text(encoding="utf-8")
    assert rendered.way == WAYS[name]


@MESSAGES
@pytest.mark.parametrize("reasoning", [REASONING, ""], ids=["reasoned", "plain"])
@NAMES
def test_the_ids_are_what_the_template_makes(
    templates: dict[str, Template], name: str, reasoning: str, messages: list[dict[str, str]]
) -> None:
    template, end = templates[name], ENDS[name]
    rendered = render_answered(template, messages, reasoning, ANSWER)
    text = proven(template, rendered, reasoning, ANSWER)
    said = {"role": "assistant", "content": ANSWER}
    if reasoning and name == "qwen3":
        expected = template.render([*messages, said | {"reasoning_content": reasoning}])
    elif reasoning and name == "deepseek_r1_distill":
        prompt = template.render(messages, add_generation_prompt=True)
        assert prompt.endswith("<think>\n")
        expected = f"{prompt}{reasoning}\n</think>\n\n{ANSWER}{end}"
    elif reasoning:
        expected = template.render([*messages, said | {"content": f"{reasoning}\n\n{ANSWER}"}])
    else:
        expected = template.render([*messages, said])
    assert text == expected
    assert tuple(template.encode(expected)[0]) == rendered.ids
    last_turn = text[text.rindex(messages[-1]["content"]) + len(messages[-1]["content"]) :]
    thinks = name == "qwen3" or (reasoning and name == "deepseek_r1_distill")
    assert text.count("</think>") == text.count("<think>") == int(bool(thinks))
    assert last_turn[last_turn.index(ANSWER) :].count(end) == 1 and text.rstrip().endswith(end)
    assert text.count(ANSWER) == 1 and (not reasoning or text.count(reasoning) == 1)


@NAMES
def test_a_seed_without_an_answer(templates: dict[str, Template], name: str) -> None:
    rendered = render_seed(templates[name], CHAIN, None)
    assert templates[name].decode(rendered.ids) == templates[name].render(CHAIN)
    assert (rendered.reasoning, rendered.answer) == ((0, 0), (0, 0))
    answered = render_seed(templates[name], CHAIN, ANSWER)
    assert answered == render_answered(templates[name], CHAIN, "", ANSWER)


@NAMES
@pytest.mark.parametrize("where", ["question", "reasoning", "answer"])
def test_special_tokens_in_texts_are_refused(templates: dict[str, Template], name: str, where: str) -> None:
    for special in {ENDS[name], "<|im_start|>", "<|endoftext|>"}:
        texts = dict.fromkeys(["question", "reasoning", "answer"], "fine") | {where: f"not {special} fine"}
        messages = [{"role": "user", "content": texts["question"]}]
        with pytest.raises(RefusedError, match="special token"):
            render_answered(templates[name], messages, texts["reasoning"], texts["answer"])
        if where == "question":
            with pytest.raises(RefusedError, match="special token"):
                render_seed(templates[name], messages, None)


@pytest.mark.parametrize("name", ["qwen3", "deepseek_r1_distill"])
@pytest.mark.parametrize(
    ("reasoning", "answer"),
    [
        ("a </think> b", "fine"),
        ("a <think> b", "fine"),
        ("fine", "a </think> b"),
        ("fine", "a <think> b"),
        ("", "a <think> b"),
        ("", "a </think> b"),
        ("", "<think>a</think>b"),
        (f"a {REASONING_MARK}", "fine"),
        ("fine", f"a {ANSWER_MARK}"),
        ("fine", "  "),
        ("fine", ""),
    ],
)
def test_what_would_break_the_think_block_is_refused(
    templates: dict[str, Template], name: str, reasoning: str, answer: str
) -> None:
    with pytest.raises(RefusedError):
        render_answered(templates[name], QUESTION, reasoning, answer)


def test_a_question_may_speak_of_think_tags(templates: dict[str, Template]) -> None:
    messages = [{"role": "user", "content": "What does </think> mean?"}]
    rendered = render_answered(templates["qwen3"], messages, "why", "so")
    assert templates["qwen3"].decode(rendered.ids).endswith("<think>\nwhy\n</think>\n\nso<|im_end|>\n")


def test_characters_that_the_vocabulary_lacks_are_refused(templates: dict[str, Template]) -> None:
    for lost in ("\U00040000", "\x04", "\x1d"):
        with pytest.raises(RefusedError, match="loses characters"):
            render_answered(templates["own"], QUESTION, "", f"an {lost} answer")
        with pytest.raises(RefusedError, match="loses characters"):
            render_seed(templates["own"], [{"role": "user", "content": f"a {lost} question"}], None)


TEMPLATE_FAULTS = {
    "loses the answer": "{% for m in messages %}{{ m.content if m.role == 'user' else '' }}{% endfor %}",
    "shouts": "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
    "says it twice": "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
    "rewords": "{% for m in messages %}{{ m.role + m.content.replace('so', 'thus') }}{% endfor %}",
    "refuses": "{{ raise_exception('no system message, please') }}",
}


@pytest.mark.parametrize("fault", TEMPLATE_FAULTS)
def test_a_template_that_loses_something(embedded_model: EmbeddedModel, fault: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_model.folder)
    tokenizer.chat_template = TEMPLATE_FAULTS[fault]
    with pytest.raises(RefusedError, match="no system message" if fault == "refuses" else "changes or loses"):
        render_answered(Template(tokenizer), QUESTION, "why", "so")


UNENDED = {
    "leaves the block open": "{{ '<think>' + m.reasoning_content if m.reasoning_content else '' }}{{ m.content }}",
    "strips and ends no turn": "{{ m.content }}",
}


@pytest.mark.parametrize("fault", UNENDED)
def test_what_the_template_leaves_out_is_built_as_the_model_writes_it(
    embedded_model: EmbeddedModel, fault: str
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_model.folder)
    turns = f"{{% for m in messages %}}<|im_start|>{{{{ m.role }}}}\n{UNENDED[fault]}{{% endfor %}}"
    opening = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    tokenizer.chat_template = turns + opening
    template = Template(tokenizer)
    rendered = render_answered(template, QUESTION, "why", "so")
    assert rendered.way == "generation_prompt"
    expected = "<|im_start|>user\nHi<|im_start|>assistant\n<think>\nwhy\n</think>\n\nso<|im_end|>"
    assert template.decode(rendered.ids) == expected


PARTS = st.sampled_from(
    ["</think>", "<think>", "<|im_end|>", "<|im_", "end|>", "\n\n", "  ", "é", "日本", "👩‍👧", "\u0301"]
)
TEXTS = st.lists(st.text(max_size=12) | PARTS, max_size=8).map("".join) | st.integers(1, 3000).map("long ".__mul__)


@EXAMPLES
@given(st.sampled_from(["qwen3", "deepseek_r1_distill", "chatml", "own"]), TEXTS, TEXTS, TEXTS)
def test_any_text_is_whole_or_refused(
    templates: dict[str, Template], name: str, question: str, reasoning: str, answer: str
) -> None:
    template, end = templates[name], ENDS[name]
    messages = [{"role": "user", "content": question.strip() or "?"}]
    try:
        rendered = render_answered(template, messages, reasoning, answer)
    except RefusedError as refusal:
        assert str(refusal) and "\n" not in str(refusal)
        plain = not any(tag in reasoning + answer + question for tag in ("think>", "<|", "|>"))
        usual = all(char.isascii() and (char.isprintable() or char == "\n") for char in question + reasoning + answer)
        # What people and models usually write is never refused.
        assert not (plain and usual and answer and answer == answer.strip() and reasoning == reasoning.strip())
        return
    text = proven(template, rendered, reasoning, answer)
    asked = template.render(messages)
    assert text.startswith(asked)
    said = text[len(asked) :]
    assert said.count(end) == 1
    if reasoning and WAYS[name] != "inline":
        assert (said.count("<think>"), said.count("</think>")) == (1, 1)
        assert said.partition("<think>\n")[2].partition("\n</think>")[0] == reasoning


# ---- length


LONG = " ".join(f"step {n} leads to {n + 1};" for n in range(400))


@pytest.mark.parametrize("name", ["qwen3", "deepseek_r1_distill", "chatml", "own"])
@pytest.mark.parametrize("max_tokens", [100, 256, 1000])
def test_keep_answer(templates: dict[str, Template], name: str, max_tokens: int) -> None:
    template = templates[name]
    rendered = render_answered(template, QUESTION, LONG, ANSWER)
    full = template.decode(rendered.ids)
    ids = fit(rendered, max_tokens, "keep_answer")
    assert len(ids) == max_tokens < len(rendered.ids)
    text = template.decode(ids)
    assert ANSWER in text and "Hi" in text and text.endswith(full[full.index(ANSWER) :])
    assert text.startswith(full[: full.index(LONG) + 10]) and text.count("</think>") == full.count("</think>")


def test_keep_answer_of_what_cannot_be_kept(templates: dict[str, Template]) -> None:
    template = templates["qwen3"]
    with pytest.raises(RefusedError, match="question and answer alone"):
        fit(render_answered(template, QUESTION, "short", LONG), 100, "keep_answer")
    seed = render_seed(template, [{"role": "user", "content": LONG}], None)
    assert fit(seed, 100, "keep_answer") == seed.ids[:100]  # a plain text is cut as calibration sets usually are


@EXAMPLES
@given(st.integers(16, 200), st.integers(0, 60), st.integers(1, 60), st.integers(0, 60))
def test_policies(max_tokens: int, before: int, answer: int, reasoning: int) -> None:
    total = before + reasoning + 2 + answer + 1
    spans = (before, before + reasoning) if reasoning else (0, 0), (before + reasoning + 2, total - 1)
    rendered = Rendered(tuple(range(total)), *spans)
    if total <= max_tokens:
        assert all(fit(rendered, max_tokens, how) == rendered.ids for how in ("keep_answer", "head", "tail", "drop"))
        return
    assert fit(rendered, max_tokens, "head") == tuple(range(max_tokens))
    assert fit(rendered, max_tokens, "tail") == tuple(range(total - max_tokens, total))
    with pytest.raises(RefusedError):
        fit(rendered, max_tokens, "drop")
    try:
        kept = fit(rendered, max_tokens, "keep_answer")
    except RefusedError:
        assert total - reasoning > max_tokens
        return
    assert len(kept) == max_tokens and list(kept) == sorted(kept)
    assert set(kept) >= set(range(total)) - set(range(*spans[0]))  # only reasoning went


# ---- equal tokens


def sample(n_tokens: int, number: int = 0) -> Sample:
    ids = tuple(range(number, number + n_tokens))
    return Sample(f"s{number}", None, "baseline", "x", ids, n_tokens, n_tokens + 5, None)


LENGTHS = st.lists(st.integers(MIN_TOKENS, 300), min_size=1, max_size=30)


def read(ids: tuple[int, ...]) -> str:
    return str(list(ids))


@given(LENGTHS, st.integers(0, 9000))
def test_cut_to_tokens(lengths: list[int], budget: int) -> None:
    samples = [sample(length, number) for number, length in enumerate(lengths)]
    cut = cut_to_tokens(samples, budget, read)
    total = sum(s.n_tokens for s in cut)
    assert total <= budget and min(budget, sum(lengths)) - total < MIN_TOKENS
    for short, whole in zip(cut, samples, strict=False):
        assert short.input_ids == whole.input_ids[: short.n_tokens] and len(short.input_ids) == short.n_tokens
        assert short.n_tokens >= MIN_TOKENS and short.n_tokens_full == whole.n_tokens_full
        assert short == whole or (short is cut[-1] and short.text == read(short.input_ids))


@given(st.lists(st.lists(st.integers(MIN_TOKENS, 500), min_size=12, max_size=40), min_size=2, max_size=4))
def test_sets_of_equal_tokens_are_equal_to_half_a_percent(sets: list[list[int]]) -> None:
    pools = [[sample(length, number) for number, length in enumerate(lengths)] for lengths in sets]
    budget = min(sum(s.n_tokens for s in pool) for pool in pools)
    assume(budget >= 3200)
    totals = [sum(s.n_tokens for s in cut_to_tokens(pool, budget, read)) for pool in pools]
    assert max(totals) - min(totals) < 0.005 * max(totals)


def test_a_set_is_written_as_the_contract_says(tmp_path: Path, templates: dict[str, Template]) -> None:
    ids = render_answered(templates["own"], QUESTION, REASONING, ANSWER).ids
    one = Sample("s1", 7, "elder", templates["own"].decode(ids), ids, len(ids), len(ids), "judge")
    write_set(tmp_path / "new" / "elder.jsonl", [one, sample(20)])
    lines = [json.loads(line) for line in (tmp_path / "new" / "elder.jsonl").read_text("utf-8").split("\n")[:-1]]
    keys = "seed_id candidate_id source text input_ids n_tokens n_tokens_full picked_by"
    assert [list(line) for line in lines] == [keys.split()] * 2
    assert templates["own"].decode(lines[0]["input_ids"]) == lines[0]["text"] == one.text
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "elder.jsonl"]


def test_equal_ids_hash_alike() -> None:
    def change(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
        return ids_hash([Sample(**edit(vars(sample(20))))])

    assert ids_hash([sample(20)]) == change(lambda values: values | {"source": "elder", "picked_by": "judge"})
    assert ids_hash([sample(20)]) != change(lambda values: values | {"input_ids": (1, 2)})
    assert ids_hash([sample(20), sample(30)]) != ids_hash([sample(30), sample(20)])
