"""A target is refused if the walk would leave most of its weights unquantized, or would compute wrong inputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faq_tui.core.quantizing.sequential.walk_check import walk_refusal
from tests.support.architectures import make

pytestmark = pytest.mark.slow

MOST_ARE_LEFT = {"jetmoe": r"only 2% .* model\.layers\.0\.mlp\.input_linear", "nemotron_h": r"only \d+% .*experts"}


@pytest.mark.parametrize("kind", MOST_ARE_LEFT)
@pytest.mark.parametrize("packed", [True, False])
def test_unusual_experts_are_not_left_out_silently(kind: str, packed: bool, tmp_path: Path) -> None:
    why = walk_refusal(make(kind, tmp_path / kind), trust_remote_code=False, packed=packed)
    assert re.search(MOST_ARE_LEFT[kind], why), why


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rwkv", "RwkvBlock is called in an unsupported form"),
    ],
)
def test_layers_that_cannot_be_run_one_at_a_time_are_found_without_weights(
    kind: str, reason: str, tmp_path: Path
) -> None:
    assert walk_refusal(make(kind, tmp_path / kind), trust_remote_code=False, packed=False) == reason


@pytest.mark.parametrize("kind", ["llama", "gemma4_text", "opt", "qwen2_5_vl"])
def test_other_models_are_not_refused(kind: str, tmp_path: Path) -> None:
    assert walk_refusal(make(kind, tmp_path / kind), trust_remote_code=False, packed=True) == ""
