"""INT8 activations: each token has 255 levels of its own and rounds as the kernel of vLLM does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.dense import load_dense
from faq_tui.core.quantizing import task
from faq_tui.core.quantizing.methods.w8a8 import format as int8
from faq_tui.core.quantizing.methods.w8a8.format import rounded_per_token, simulate_int8_activations
from faq_tui.core.quantizing.methods.w8a8.method import quantization_config
from faq_tui.core.settings.recipe import build_recipe
from tests.support.architectures import make, write_rows


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_each_token_keeps_to_its_own_255_levels(seed: int, tokens: int, features: int) -> None:
    inputs = torch.randn(tokens, features, generator=torch.Generator().manual_seed(seed))
    inputs *= torch.tensor([10.0**n for n in range(tokens)])[:, None]
    before = inputs.clone()
    found = rounded_per_token(inputs)
    assert torch.equal(inputs, before)  # it is the residual stream's too
    scale = inputs.abs().amax(1, keepdim=True) / 127
    assert ((found - inputs).abs() <= scale * 0.5001).all()
    levels = found / scale
    assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_tokens_round_as_vllms_kernel_does() -> None:
    """Its arithmetic, number by number in float32: 127 over the largest, then to the nearest, ties to even."""
    import numpy as np

    rows = [[0.0, 0.0, 0.0], [127.0, 0.5, 1.5], [-127.0, 2.5, -0.5], [1e-30, -1e-30, 3e-31], [2.54, 0.03, -0.01]]
    found = rounded_per_token(torch.tensor(rows)).numpy()
    for row, ours in zip(rows, found, strict=True):
        most = np.float32(max(map(abs, row)))
        inverse = np.float32(0) if most == 0 else np.float32(127) / most
        codes = np.rint(np.asarray(row, np.float32) * inverse)
        np.testing.assert_array_equal(ours, codes * (most / np.float32(127)))
    assert found[1].tolist() == [127.0, 0.0, 2.0] and found[2].tolist() == [-127.0, 2.0, 0.0]


def test_only_named_linears_are_simulated() -> None:
    from torch import nn

    model = nn.Sequential()
    model.add_module("body", nn.Linear(4, 4, bias=False))
    model.add_module("lm_head", nn.Linear(4, 4, bias=False))
    nn.init.eye_(model.get_submodule("body").weight)
    nn.init.eye_(model.get_submodule("lm_head").weight)
    inputs = torch.tensor([[1.0, 0.501, 0.2, 0.1]])
    simulate_int8_activations(model, quantization_config(["lm_head"]))
    assert torch.allclose(model(inputs), rounded_per_token(inputs))
    assert not torch.equal(model(inputs), inputs)


@pytest.mark.parametrize("change", [{"dynamic": False}, {"num_bits": 4}, {"strategy": "tensor"}])
def test_other_schemes_are_not_taken_for_this_one(change: dict[str, Any]) -> None:
    body = quantization_config([])
    body["config_groups"]["group_0"]["input_activations"].update(change)
    with pytest.raises(FaqError, match="does not know how the folder's activations are quantized"):
        simulate_int8_activations(torch.nn.Linear(2, 2), body)


@pytest.mark.parametrize("kind", ["qwen3", "qwen3_5_text", "gemma4_text"])
def test_transformers_reads_the_same_model_except_for_its_rounding(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """compressed-tensors rounds activations to other levels. With these levels, both models are the same."""
    from transformers import AutoModelForCausalLM

    def as_compressed_tensors(inputs: Any) -> Any:
        scale = inputs.abs().amax(-1, keepdim=True) / 127.5
        return (inputs / scale).round().clamp(-128, 127) * scale

    rows, out = write_rows(tmp_path / "rows.jsonl"), tmp_path / "out"
    recipe = build_recipe({"method": "w8a8"}).identity()
    spec = {"artefact": "a", "model": str(make(kind, tmp_path / "model")), "recipe": recipe, "rows": str(rows)}
    task.run({**spec, "out": str(out), "device": "cpu"}, lambda kind, **body: None, CancelToken())
    monkeypatch.setattr(int8, "rounded_per_token", as_compressed_tensors)
    ours = load_dense(out, torch.float32, "cpu")
    theirs = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    ids = torch.tensor([json.loads(rows.read_text().splitlines()[0])["input_ids"]])
    with torch.no_grad():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits)
