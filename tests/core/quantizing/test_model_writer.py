"""A layout that cannot be written back is refused before the first layer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.model_writer import check_layout
from tests.support.quantize_bench import Bench

pytest_plugins = ["tests.support.quantize_bench"]


def test_a_layout_that_cannot_be_written_back_is_refused_before_the_first_layer(bench: Bench, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = Path(shutil.copytree(bench.model, tmp_path / "model"))
    weights = load_file(model / "model.safetensors")
    # As multimodal models have them; transformers reads both.
    save_file(
        {f"language_model.{name}": w for name, w in weights.items()}, model / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(FaqError, match=r"has no tensor of its name in .*model: its layout cannot be written back"):
        check_layout(model, weights)
    check_layout(bench.model, weights)
