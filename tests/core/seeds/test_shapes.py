"""Shapes of records: fields, labels, turns, and records without a question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.seeds import to_seed
from faq_tui.core.seeds.shapes import ShapeError
from faq_tui.core.settings import Seeds
from tests.support.seed_files import write
from tests.support.seed_stage import Made


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_fields_named_in_the_settings(tmp_path: Path, kind: str) -> None:
    records = [{"prompt": "no", "ask": f"q{n}", "answer": "no", "said": f"a{n}"} for n in range(5)]
    write(tmp_path / f"seeds.{kind}", records, kind)
    made = Made(tmp_path, path=f"seeds.{kind}", prompt_field="ask", answer_field="said")
    made.go()
    assert [(seed.question, seed.answer) for seed in made.seeds()] == [(f"q{n}", f"a{n}") for n in range(5)]


def test_label_category_and_language_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text(json.dumps({"id": 7, "category": "math", "language": "de", "question": "q"}) + "\n")
    made = Made(tmp_path, path="seeds.jsonl")
    made.go()
    (seed,) = made.seeds()
    assert (seed.label, seed.category, seed.language, seed.origin) == ("7", "math", "de", "seeds.jsonl:1")


@pytest.mark.parametrize(
    ("turns", "roles", "answer"),
    [
        (["user a", "assistant b", "user c", "assistant d"], ["user", "assistant", "user"], "d"),
        (["user a", "assistant b", "user c"], ["user", "assistant", "user"], None),
        (["assistant hi", "user a"], ["assistant", "user"], None),
        (["user a", "assistant  "], ["user"], None),
    ],
)
def test_the_last_question_and_what_followed(turns: list[str], roles: list[str], answer: str | None) -> None:
    messages = [dict(zip(("role", "content"), turn.split(" ", 1), strict=True)) for turn in turns]
    seed = to_seed({"messages": messages}, Seeds(path="x"), "x:1")
    assert ([message["role"] for message in seed.messages], seed.answer) == (roles, answer)


def test_content_in_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}]
    seed = to_seed({"messages": [{"role": "user", "content": parts}]}, Seeds(path="x"), "x:1")
    assert seed.question == "a\nb"


NESTED: Any = []
for _ in range(700):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (5, "is a int"),
        (None, "is nothing"),
        ([], "is a list"),
        ({}, "its fields are none"),
        ({"a": "x" * 10_000}, "its fields are a;"),
        ({"k" * 10_000: 1}, "its fields are kkk"),
        ({"question": "  "}, "no question"),
        ({"messages": []}, "no message of the user"),
        ({"messages": ["hello"]}, "text among its messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role 'robot'"),
        ({"messages": [{"role": NESTED, "content": "x"}]}, "has no role"),
        ({"messages": [{"role": "user"}]}, "content is nothing"),
        ({"messages": [{"role": "user", "content": " "}]}, "nothing in the user's message"),
        ({"question": "half \ud800 a character"}, "lone surrogate"),
        ({"question": "whole", "answer": "\udfff"}, "lone surrogate"),
    ],
)
def test_records_without_a_question(value: Any, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason) as caught:
        to_seed(value, Seeds(path="x"), "x:1")
    assert len(str(caught.value)) < 500
