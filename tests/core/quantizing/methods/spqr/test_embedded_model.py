"""Real layers of the embedded model: rounding, GPTQ and SpQR by their output error on tokens not calibrated on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from faq_tui.core.embedded import EmbeddedModel
from faq_tui.core.evaluation.texts import pydoc_prose
from faq_tui.core.quantizing.methods.spqr.matrix import Knobs, quantize_matrix
from faq_tui.core.quantizing.methods.spqr.sidecar import count_bits
from faq_tui.core.quantizing.sequential.hessian import Hessian, factorize, identity_factor

pytestmark = pytest.mark.slow


def hessians(model: Any, names: list[str], rows: list[list[int]]) -> dict[str, Any]:
    found = {name: Hessian(model.get_submodule(name).in_features, "cpu") for name in names}
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(lambda _m, args, name=name: found[name].add(args[0]))
        for name in names
    ]
    with torch.inference_mode():
        for row in rows:
            model.model(input_ids=torch.tensor([row]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return {name: hessian.mean() for name, hessian in found.items()}


def test_spqr_beats_gptq_and_gptq_rounding_at_no_more_bits(embedded_model: EmbeddedModel) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = embedded_model.folder
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, num_hidden_layers=2).eval()
    ids = AutoTokenizer.from_pretrained(folder)(pydoc_prose()[:60_000], verbose=False)["input_ids"]
    rows = [ids[start : start + 256] for start in range(0, 12 * 256, 256)]
    names = [f"model.layers.{layer}.{part}" for layer in (0, 1) for part in ("self_attn.v_proj", "mlp.up_proj")]
    fit, test = hessians(model, names, rows[:8]), hessians(model, names, rows[8:])
    plain, spqr = Knobs(4, 64, math.inf, None), Knobs(4, 64)
    total = {"gptq": 0.0, "reference": 0.0}  # of relative errors
    for name in names:
        weight = model.get_submodule(name).weight.data
        factor = factorize(fit[name], 0.01, by_activation=True)
        straight = factorize(fit[name], 0.01, by_activation=False)
        errors, bits = [], []
        for knobs, walked in ((plain, identity_factor(weight.shape[1], "cpu")), (plain, straight), (spqr, factor)):
            made = quantize_matrix(weight, walked, knobs, lambda: None)
            off = weight - made.weight
            errors.append(float(((off @ test[name]) * off).sum()))
            outliers = int(made.outliers.sum())
            bits.append(count_bits(weight.shape[0], weight.shape[1], knobs, outliers, walked is factor).average)
        assert errors[0] > errors[1] > errors[2], (name, errors)
        assert bits[2] < bits[1]
        reference = quantize_matrix(weight, factorize(fit[name], 1.0, by_activation=True), spqr, lambda: None)
        off = weight - reference.weight
        total["gptq"] += errors[1] / errors[0]
        total["reference"] += float(((off @ test[name]) * off).sum()) / errors[0]
    assert total["reference"] < total["gptq"] < len(names)
