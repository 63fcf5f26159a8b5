"""Samples of the right length: what is cut and what is kept, sets of equal tokens, and a set's file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faq_tui.core.assembly import Sample, truncate
from faq_tui.core.assembly.sample import cut_to_budget, ids_hash, write_set
from faq_tui.core.chat.render import Rendered, render_answered, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.embedded import EmbeddedModel
from tests.support.template_bench import ANSWER, NAMES, QUESTION, REASONING, golden_templates

EXAMPLES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture(scope="session")
def templates(embedded_model: EmbeddedModel) -> dict[str, Template]:
    return golden_templates(embedded_model)


# ---- length


LONG = " ".join(f"step {n} leads to {n + 1};" for n in range(400))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("max_tokens", [128, 256, 1000])
def test_keep_answer(templates: dict[str, Template], name: str, max_tokens: int) -> None:
    template = templates[name]
    rendered = render_answered(template, QUESTION, LONG, ANSWER)
    full = template.decode(rendered.ids)
    ids = truncate(rendered, max_tokens, "keep_answer").ids
    assert len(ids) == max_tokens < len(rendered.ids)
    text = template.decode(ids)
    assert ANSWER in text and "Hi" in text and text.endswith(full[full.index(ANSWER) :])
    kept = truncate(rendered, max_tokens, "keep_answer")
    assert template.decode(kept.ids[: kept.answer_end]).endswith(ANSWER)
    assert text.startswith(full[: full.index(LONG) + 10]) and text.count("</think>") == full.count("</think>")


def test_keep_answer_of_what_cannot_be_kept(templates: dict[str, Template]) -> None:
    template = templates["qwen3"]
    with pytest.raises(NotAssembledError, match="question and answer alone"):
        truncate(render_answered(template, QUESTION, "short", LONG), 100, "keep_answer")
    seed = render_seed(template, [{"role": "user", "content": LONG}], None)
    assert (
        truncate(seed, 100, "keep_answer").ids == seed.ids[:100]
    )  # a plain text is cut as calibration sets usually are


@EXAMPLES
@given(st.integers(16, 200), st.integers(0, 60), st.integers(1, 60), st.integers(0, 60))
def test_policies(max_tokens: int, before: int, answer: int, reasoning: int) -> None:
    total = before + reasoning + 2 + answer + 1
    spans = (before, before + reasoning) if reasoning else (0, 0), (before + reasoning + 2, total - 1)
    rendered = Rendered(tuple(range(total)), *spans)
    if total <= max_tokens:
        assert all(
            truncate(rendered, max_tokens, how).ids == rendered.ids for how in ("keep_answer", "head", "tail", "drop")
        )
        return
    assert truncate(rendered, max_tokens, "head").ids == tuple(range(max_tokens))
    assert truncate(rendered, max_tokens, "tail").ids == tuple(range(total - max_tokens, total))
    with pytest.raises(NotAssembledError):
        truncate(rendered, max_tokens, "drop")
    try:
        kept = truncate(rendered, max_tokens, "keep_answer").ids
    except NotAssembledError:
        assert total - reasoning > max_tokens
        return
    assert len(kept) == max_tokens and list(kept) == sorted(kept)
    assert set(kept) >= set(range(total)) - set(range(*spans[0]))  # only reasoning went


@EXAMPLES
@given(
    *(st.integers(16, 200), st.integers(0, 60), st.integers(1, 60), st.integers(0, 60)),
    st.sampled_from(["keep_answer", "head", "tail"]),
)
def test_a_sample_knows_whether_it_holds_its_answer(
    max_tokens: int, before: int, answer: int, reasoning: int, overflow: str
) -> None:
    total = before + reasoning + 2 + answer + 1
    spans = (before, before + reasoning) if reasoning else (0, 0), (before + reasoning + 2, total - 1)
    rendered = Rendered(tuple(range(total)), *spans)
    try:
        kept = truncate(rendered, max_tokens, overflow)
    except NotAssembledError:
        return
    whole = set(range(*rendered.answer)) <= set(kept.ids)
    assert bool(kept.answer_end) == whole
    assert not whole or kept.ids[kept.answer_end - 1] == total - 2


def test_a_budget_keeps_the_question_and_the_beginning_of_what_is_said(templates: dict[str, Template]) -> None:
    template = templates["qwen3"]
    rendered = render_answered(template, QUESTION, LONG, ANSWER)
    kept = cut_to_budget(rendered, 64)
    assert kept.ids == rendered.ids[:64] and not kept.answer_end
    assert "Hi" in template.decode(kept.ids) and "step 0 leads to 1" in template.decode(kept.ids)
    whole = cut_to_budget(render_answered(template, QUESTION, "short", ANSWER), 200)
    assert template.decode(whole.ids).endswith(f"{ANSWER}<|im_end|>\n") and whole.answer_end
    with pytest.raises(NotAssembledError, match="question alone"):
        cut_to_budget(render_answered(template, [{"role": "user", "content": LONG}], "short", ANSWER), 64)


# ---- equal tokens


def sample(n_tokens: int, number: int = 0) -> Sample:
    ids = tuple(range(number, number + n_tokens))
    return Sample(f"s{number}", None, "baseline", "x", ids, n_tokens, n_tokens + 5, None)


def test_a_set_is_written_as_the_contract_says(tmp_path: Path, templates: dict[str, Template]) -> None:
    ids = render_answered(templates["smollm2"], QUESTION, REASONING, ANSWER).ids
    one = Sample("s1", 7, "elder", templates["smollm2"].decode(ids), ids, len(ids), len(ids), "judge")
    write_set(tmp_path / "new" / "elder.jsonl", [one, sample(20)])
    lines = [json.loads(line) for line in (tmp_path / "new" / "elder.jsonl").read_text("utf-8").split("\n")[:-1]]
    keys = "seed_id candidate_id source text input_ids n_tokens n_tokens_full picked_by"
    assert [list(line) for line in lines] == [keys.split()] * 2
    assert templates["smollm2"].decode(lines[0]["input_ids"]) == lines[0]["text"] == one.text
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "elder.jsonl"]


def test_equal_ids_hash_alike() -> None:
    def change(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
        return ids_hash([Sample(**edit(asdict(sample(20))))])

    assert ids_hash([sample(20)]) == change(lambda values: values | {"source": "elder", "picked_by": "judge"})
    assert ids_hash([sample(20)]) != change(lambda values: values | {"input_ids": (1, 2)})
    assert ids_hash([sample(20), sample(30)]) != ids_hash([sample(30), sample(20)])
