"""The header says of each source whether it is of the target's family."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.app_host import app_on, text_of, until

TOML = """
[target]
model = "{target}"
[seeds]
path = "starter"
[sources.elder]
base_url = "http://127.0.0.1:9/v1"
model = "{elder}"
"""


@pytest.mark.parametrize(
    ("target", "elder", "words"),
    [
        ("Qwen/Qwen3-8B", "Qwen3-235B-A22B-FP8", "elder Qwen3-235B-A22B-FP8 (family)"),
        ("Qwen/Qwen3-8B", "Llama-3.1-405B", "elder Llama-3.1-405B (stranger)"),
        ("Qwen/Qwen3-8B", "mystery", "elder mystery (family unknown)"),
        ("Qwen/Qwen3-8B", "qwen3-8b", "elder qwen3-8b"),
        ("./small", "./large", "elder ./large (same tokenizer)"),
    ],
)
async def test_badge(tmp_path: Path, target: str, elder: str, words: str) -> None:
    for name, kind in (("small", "one"), ("large", "other")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
        (folder / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}')
    (tmp_path / "faq.toml").write_text(TOML.format(target=target, elder=elder))
    async with app_on(tmp_path).run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: words in text_of(pilot.app))
        if elder == "qwen3-8b":
            assert "qwen3-8b (" not in text_of(pilot.app)
