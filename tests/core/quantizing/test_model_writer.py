"""A layout that cannot be written back is refused before the first layer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.model_writer import LayerFiles, check_layout, write_model
from tests.support.model_families import model_of
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
    sentence = r"model has no tensor named .*, so the quantized weights cannot be written back"
    with pytest.raises(FaqError, match=sentence):
        check_layout(model, weights)
    check_layout(bench.model, weights)


def test_a_layer_that_is_stored_again_replaces_its_tensors(tmp_path: Path) -> None:
    new = LayerFiles(tmp_path)
    for value in (1, 2):
        new.add(0, {"layer.up.weight": torch.full((2, 2), value), "layer.down.weight": torch.ones(2, 2)})
    assert new.modules == {"layer.up": ["layer.up.weight"], "layer.down": ["layer.down.weight"]}
    assert (new.read("layer.up.weight") == 2).all()


def test_a_model_is_written_back_in_its_own_files(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    target, out = tmp_path / "target", tmp_path / "out"
    out.mkdir()
    model_of("qwen3_moe").save_pretrained(target, max_shard_size="20KB")
    files = sorted(path.name for path in target.glob("*.safetensors"))
    assert len(files) > 2
    new = LayerFiles(tmp_path / "layers")
    name = "model.layers.1.mlp.experts.2.up_proj.weight"
    new.add(1, {name: torch.full((16, 32), 7, dtype=torch.int8), f"{name}_scale": torch.ones(16, 1)})
    write_model(target, out, new, lambda: None)
    assert sorted(path.name for path in out.glob("*.safetensors")) == files
    before = {key: tensor for file in files for key, tensor in load_file(target / file).items()}
    after = {key: tensor for file in files for key, tensor in load_file(out / file).items()}
    assert set(after) == {*before, f"{name}_scale"}
    assert (after[name] == 7).all() and after[name].dtype == torch.int8
    assert all(torch.equal(after[key], before[key]) for key in before if key != name)
    from faq_tui.core.quantizing.servable import problems

    assert not [one for one in problems(out) if "disagree" in one]
    new.add(2, {"model.layers.9.nowhere.weight": torch.ones(1)})
    with pytest.raises(FaqError, match=r"target has no tensor named model\.layers\.9\.nowhere\.weight, so"):
        write_model(target, out, new, lambda: None)
