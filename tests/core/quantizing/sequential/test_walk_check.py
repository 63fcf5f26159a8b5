"""A target is refused if the walk would leave most of its weights unquantized, or would compute wrong inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.quantizing.sequential.walk_check import walk_refusal
from tests.support.architectures import make

pytestmark = pytest.mark.slow

MOST_ARE_LEFT = {"jetmoe": r"only 2% .* model\.layers\.0\.mlp\.input_linear", "nemotron_h": r"only \d+% .*experts"}


@pytest.mark.parametrize("kind", MOST_ARE_LEFT)
@pytest.mark.parametrize("packed", [True, False])
def test_unusual_experts_are_not_left_out_silently(kind: str, packed: bool, tmp_path: Path) -> None:
    import re

    why = walk_refusal(make(kind, tmp_path / kind), trust_remote_code=False, packed=packed)
    assert re.search(MOST_ARE_LEFT[kind], why), why


def test_a_plain_model_is_not_refused(tmp_path: Path) -> None:
    assert walk_refusal(make("llama", tmp_path / "llama"), trust_remote_code=False, packed=True) == ""
