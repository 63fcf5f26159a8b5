"""Folders of this machine are removed; everything else stays as it is."""

from __future__ import annotations

import pytest

from faq_tui.core.model_card.privacy import public_value, without_folders


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("from /home/alice/seeds.jsonl (seed 0)", "from seeds.jsonl (seed 0)"),
        ("vllm serve '/srv/run/models/x'", "vllm serve 'x'"),
        ("~/books/a.txt and ~bob/c/d", "a.txt and d"),
        ("(/a/b/c)", "(c)"),
    ],
)
def test_folders_are_removed(text: str, public: str) -> None:
    assert without_folders(text) == public


@pytest.mark.parametrize(
    "text", ["https://huggingface.co/a/b", "Qwen/Qwen3-8B", "models/x/y", "1/2", "and/or", "../x/y", "tokens/s", ""]
)
def test_what_is_no_path_of_this_machine_stays(text: str) -> None:
    assert without_folders(text) == text == public_value(text)


def test_a_whole_value_may_have_spaces() -> None:
    value = {"model": "/home/al ice/my model", "n": [1, None, "~/x y/z"], "note": "a\n/b/c"}
    assert public_value(value) == {"model": "my model", "n": [1, None, "z"], "note": "a\nc"}
