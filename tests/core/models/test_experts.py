"""Experts that are put apart compute as the fused ones."""

from __future__ import annotations

import torch

from faq_tui.core.models.experts import is_fused, unfuse_experts
from tests.support.model_families import ROWS, model_of


def test_experts_put_apart_compute_as_the_fused_ones() -> None:
    model = model_of("qwen3_moe")
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([ROWS[0]])).logits
        unfuse_experts(model)
        assert not any(is_fused(module) for module in model.modules())
        found = model(input_ids=torch.tensor([ROWS[0]])).logits
    assert torch.allclose(found, expected, atol=1e-5)
    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    assert "model.layers.2.mlp.experts.3.down_proj" in names
