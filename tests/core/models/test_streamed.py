"""An artefact of every format that is read layer by layer computes what the whole artefact computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.stack import UnsupportedModel
from faq_tui.core.models.streamed import StreamedBackbone, not_by_layers, open_stream, refusal_of_layers
from tests.support.architectures import CHANGED, MULTIMODAL, TEXT, make
from tests.support.model_families import ROWS, model_of
from tests.support.packed_folders import CONFIGS, pack_folder
from tests.support.published import make_tiny_deepseek, make_tiny_gpt_oss


def folder_of(family: str, method: str, folder: Path) -> Path:
    model_of(family).to(torch.bfloat16).save_pretrained(folder)
    return folder if method == "dense" else pack_folder(folder, method)


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
@pytest.mark.parametrize("method", ["dense", *CONFIGS])
def test_states_are_those_of_the_whole_artefact(method: str, family: str, tmp_path: Path) -> None:
    folder = folder_of(family, method, tmp_path)
    whole = Backbone(load_dense(folder, torch.float32, "cpu"))
    streamed = StreamedBackbone(open_stream(folder, torch.float32, "cpu", False))
    streamed.prepare(ROWS)
    ours, theirs = streamed.states(ROWS), whole.states(ROWS)
    assert ours.shape == theirs.shape and theirs.std() > 0.1
    for row, one, other in zip(ROWS, ours, theirs, strict=True):
        assert torch.allclose(one[: len(row)], other[: len(row)], atol=1e-4)
    assert torch.equal(streamed.head.logits(ours[0]), whole.head.logits(ours[0]))


@pytest.mark.parametrize("make", [make_tiny_deepseek, make_tiny_gpt_oss])
def test_a_model_in_a_published_format_is_read_layer_by_layer(
    make: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    folder = make(tmp_path / "published", tmp_path / "plain")
    whole = Backbone(load_dense(folder, torch.float32, "cpu"))
    streamed = StreamedBackbone(open_stream(folder, torch.float32, "cpu", False))
    for row in ROWS:
        one, other = streamed.states([row])[0], whole.states([row])[0]
        assert other.std() > 0.1 and torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("method", CONFIGS)
def test_a_tensor_that_is_read_alone_is_that_of_the_whole_state(method: str, tmp_path: Path) -> None:
    from faq_tui.core.models.dense import format_of, quantization_of

    folder = folder_of("llama", method, tmp_path)
    quantization = quantization_of(folder)
    assert quantization is not None
    format = format_of(quantization["quant_method"])
    assert format is not None
    state = format.dense_state(folder, quantization, torch.bfloat16)
    tensors = format.tensors(folder, quantization, torch.bfloat16)
    assert set(tensors.files) == set(state) == set(model_of("llama").state_dict())
    assert all(torch.equal(tensors.read_as(name, torch.bfloat16), tensor) for name, tensor in state.items())
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}


def test_rows_that_were_not_announced_are_computed_when_they_are_wanted(tmp_path: Path) -> None:
    streamed = StreamedBackbone(open_stream(folder_of("llama", "dense", tmp_path), torch.float32, "cpu", False))
    alone = streamed.states(ROWS[:1])
    streamed.prepare(ROWS[1:])
    assert torch.equal(streamed.states(ROWS[:1]), alone)


def test_a_folder_that_lacks_a_tensor_is_refused_by_its_name(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = folder_of("llama", "dense", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=r"no tensor named model\.layers\.1\.mlp\.up_proj\.weight"):
        open_stream(folder, torch.float32, "cpu", False)


def test_experts_of_an_unknown_form_are_refused_before_a_weight_is_read(tmp_path: Path) -> None:
    folder = make("longcat_flash", tmp_path)
    sentence = "LongcatFlashExperts has experts in an unsupported form"
    assert refusal_of_layers(folder, False) == not_by_layers(folder, sentence)
    with pytest.raises(UnsupportedModel, match=sentence):
        open_stream(folder, torch.float32, "cpu", False)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    folder = folder_of("llama", "dense", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "other"}}))
    with pytest.raises(FaqError, match="is quantized as 'other'"):
        open_stream(folder, torch.float32, "cpu", False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*MULTIMODAL, *TEXT])
def test_every_architecture_computes_as_the_whole_model_does(kind: str, tmp_path: Path) -> None:
    make(kind, tmp_path)
    whole = Backbone(load_dense(tmp_path, torch.float32, "cpu"))
    streamed = StreamedBackbone(open_stream(tmp_path, torch.float32, "cpu", False))
    streamed.prepare(ROWS)
    for row in ROWS:
        ours, theirs = streamed.states([row])[0], whole.states([row])[0]
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-5


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", CHANGED)
def test_values_that_transformers_changes_after_loading_are_changed(kind: str, tied: bool, tmp_path: Path) -> None:
    folder = make(kind, tmp_path, tie_word_embeddings=tied)
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        if name.endswith("balancing_biases"):
            tensor[-1] = 3.0
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    whole, stream = load_dense(folder, torch.float32, "cpu"), open_stream(folder, torch.float32, "cpu", False)
    row = [3, 0, 4, 5]  # COMMON names 0 as the padding token
    streamed = StreamedBackbone(stream)
    for _ in range(2):  # each layer is loaded twice
        streamed.prepare([row])
        logits = streamed.head.logits(streamed.states([row])[0])
        for model in (plain, whole):
            assert torch.allclose(logits, model(torch.tensor([row])).logits[0], atol=1e-4)
    files = tensors | (
        {} if "lm_head.weight" in tensors else {"lm_head.weight": tensors["model.embed_tokens.weight"]}
    )
    changed = {name for name, one in plain.state_dict().items() if name in files and not one.equal(files[name])}
    assert changed, "transformers changes nothing, so this test shows nothing"


@pytest.mark.parametrize("equal", [True, False])
def test_a_head_in_the_files_counts_more_than_tie_word_embeddings(equal: bool, tmp_path: Path) -> None:
    folder = make("llama", tmp_path / "target", tie_word_embeddings=False)
    tensors = load_file(folder / "model.safetensors")
    if equal:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}), encoding="utf-8")
    whole = Backbone(load_dense(folder, torch.float32, "cpu"))
    streamed = StreamedBackbone(open_stream(folder, torch.float32, "cpu", False))
    assert torch.equal(streamed.head.weight, whole.head.weight)
    shared = streamed.model.get_input_embeddings().weight.data_ptr() == streamed.head.weight.data_ptr()
    assert shared == equal
