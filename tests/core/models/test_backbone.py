"""The logits that are computed later are those of the model, whatever the model does after its lm_head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.streamed import StreamedBackbone, open_stream
from tests.support.architectures import make

KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "cohere": {"logit_scale": 0.25},
    "granite": {"logits_scaling": 4.0},
    "gemma2": {"final_logit_softcapping": 0.5},
    "hyperclovax": {"logits_scaling": 4.0},
    "minicpm3": {"dim_model_base": 16},
    "falcon_h1": {"lm_head_multiplier": 0.25},
    "recurrent_gemma": {"logits_soft_cap": 0.5},
    "aya_vision": {},
    "cohere2_vision": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_scales_and_caps_the_logits_as_the_model_does(kind: str, tmp_path: Path) -> None:
    folder = make(kind, tmp_path / kind, **KINDS[kind])
    model, rows = load_dense(folder, torch.float32, "cpu"), [[5, 9, 2, 60, 33, 7]]
    with torch.no_grad():
        expected = model(input_ids=torch.tensor(rows), use_cache=False).logits
        plain = Backbone(model).states(rows) @ model.get_output_embeddings().weight.t()
    if kind not in ("llama", "minicpm3", "aya_vision", "cohere2_vision"):
        assert not torch.allclose(plain, expected, rtol=0.01, atol=0.01)
    streamed = StreamedBackbone(open_stream(folder, torch.float32, "cpu", False))
    for backbone in (Backbone(model), streamed):
        with torch.no_grad():
            found = backbone.head.logits(backbone.states(rows))
        assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))
