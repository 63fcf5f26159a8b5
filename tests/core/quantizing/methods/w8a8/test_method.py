"""Loaders read the written configuration as W8A8, and ignore every Linear module that has no scale."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.quantizing import task
from faq_tui.core.quantizing.methods.w8a8.method import quantization_config, unscaled_modules
from tests.support.architectures import make, write_rows
from tests.support.quantize_bench import Bench

# The head of GPT-NeoX is `embed_out`, and the head of BioGPT is `output_projection`. Gemma 4 and OPT have matrices
# beside the layers. The projector of Mistral 3 is in no layer, either.
KINDS: dict[str, dict[str, Any]] = {
    "gpt_neox": {},
    "biogpt": {},
    "gemma4_text": {},
    "opt": {"word_embed_proj_dim": 32},
    "mistral3": {},
}


def test_the_config_is_read_by_the_library_as_w8a8() -> None:
    library: Any = importlib.import_module("compressed_tensors.quantization")
    body = quantization_config(["lm_head", "model.layers.0.mlp.gate"])
    read = library.QuantizationConfig.model_validate(body)
    group = read.config_groups["group_0"]
    assert (read.format, read.quantization_status.value) == ("int-quantized", "compressed")
    assert (group.weights.num_bits, group.weights.strategy, group.weights.symmetric) == (8, "channel", True)
    assert (group.input_activations.strategy, group.input_activations.dynamic) == ("token", True)
    assert read.ignore == ["lm_head", "model.layers.0.mlp.gate"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_transformers_finds_the_scales_of_all_modules_that_are_not_ignored(kind: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoConfig

    from faq_tui.core.models.text_model import auto_class

    write_rows(tmp_path / "rows.jsonl")
    bench = Bench(tmp_path, make(kind, tmp_path / kind, **KINDS[kind]), [])
    folder = Path(bench.spec("made")["out"])
    spec = bench.spec("made", method="w8a8", bits=8, group_size=-1)
    task.run(spec, lambda _kind, **_body: None, CancelToken())
    quantization = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    assert len(quantization["ignore"]) == len(set(quantization["ignore"]))
    auto = auto_class(AutoConfig.from_pretrained(folder))
    model, report = auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"]
    ids = torch.tensor([[3, 4, 5, 6, 7, 8]])
    with torch.no_grad():
        assert model(input_ids=ids, use_cache=False).logits.isfinite().all()


@pytest.mark.parametrize("kind", ["llama4", "qwen3_5"])
def test_matrices_beside_the_text_model_are_ignored(kind: str, tmp_path: Path) -> None:
    """transformers' class for these families' text does not have the other parts, but servers load them."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = make(kind, tmp_path / kind)
    path = folder / "model.safetensors"
    save_file({**load_file(path), "mtp.fc.weight": torch.zeros(4, 4)}, path, {"format": "pt"})
    with torch.device("meta"):
        whole = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    beside = {
        name
        for name, module in whole.named_modules()
        if isinstance(module, torch.nn.Linear) and "language_model" not in name
    }
    assert any("merger" in name or "projector" in name for name in beside)
    assert unscaled_modules(folder, False, set()) >= {*beside, "mtp.fc"}
