"""Which weight files count, and what their headers tell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.headers import INDEX, linear_shapes, tensors_of
from faq_tui.core.quantizing.layer_profile import profile_of
from tests.support.tiny import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("headers") / "model")


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def index_of(folder: Path) -> None:
    files = {name: path.name for name, (path, _, _) in tensors_of(folder).items()}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}))


@pytest.mark.parametrize("indexed", [False, True])
def test_a_second_copy_of_the_weights_does_not_count(model: Path, copy: Path, indexed: bool) -> None:
    if indexed:
        index_of(copy)
    save_file({"layers.0.attention.wq.weight": np.zeros((8, 8), np.float32)}, copy / "consolidated.safetensors")
    assert tensors_of(copy).keys() == tensors_of(model).keys()
    assert profile_of(copy, 1, 64, 64) == profile_of(model, 1, 64, 64)


def test_a_file_that_the_index_names_is_missing(copy: Path) -> None:
    index_of(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=rf"model\.safetensors is missing, though {INDEX} names it: fetch the model"):
        tensors_of(copy)
    (copy / INDEX).write_text(json.dumps({"weight_map": {"a": "x" * 300}}))
    with pytest.raises(UsageError, match="is missing"):
        tensors_of(copy)
    (copy / INDEX).write_text("[]")
    with pytest.raises(UsageError, match=rf"{INDEX} cannot be read"):
        tensors_of(copy)


@pytest.mark.parametrize("name", ["../outside.safetensors", "a/../../outside.safetensors", "/etc/x", "", 5, None])
def test_an_index_names_only_files_of_its_folder(copy: Path, name: object) -> None:
    shutil.copy(copy / "model.safetensors", copy.parent / "outside.safetensors")
    (copy / "a").mkdir()
    index_of(copy)
    index = json.loads((copy / INDEX).read_text())
    index["weight_map"]["model.norm.weight"] = name
    (copy / INDEX).write_text(json.dumps(index))
    with pytest.raises(UsageError, match=rf"{INDEX} names .*, which is not a file in this folder: fetch the"):
        tensors_of(copy)


def test_an_index_may_name_a_file_in_a_subfolder(copy: Path) -> None:
    (copy / "part").mkdir()
    (copy / "model.safetensors").rename(copy / "part" / "1.safetensors")
    (copy / INDEX).write_text(json.dumps({"weight_map": {"a": "part/1.safetensors"}}))
    assert "model.norm.weight" in tensors_of(copy)


def test_what_sees_and_what_hears_is_no_text_layer(model: Path, copy: Path) -> None:
    names = (
        "vision_tower.vision_model.encoder.layers.0.mlp.fc2",
        "model.visual.blocks.0.attn.qkv",
        "audio_tower.x.0.k",
    )
    save_file({f"{name}.weight": np.zeros((8, 43), np.float32) for name in names}, copy / "more.safetensors")
    assert linear_shapes(copy) == linear_shapes(model)
    assert len(tensors_of(copy)) == len(tensors_of(model)) + len(names)
