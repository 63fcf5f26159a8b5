"""Models are built without weights."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.models.text_model import empty_model
from tests.support.architectures import COMMON, LOCAL_EXPERTS, config_of


def test_a_model_larger_than_any_memory_can_be_built(tmp_path: Path) -> None:
    for kind in ("mixtral", "llama4_text"):  # their experts begin as `torch.empty` and as `torch.zeros`
        huge = {**COMMON, **LOCAL_EXPERTS, "hidden_size": 1 << 16, "intermediate_size": 1 << 18}
        model = empty_model(config_of(kind, tmp_path / kind, **huge), False)
        assert all(weight.is_meta for weight in model.parameters())
        assert max(weight.numel() for weight in model.parameters()) * 4 >= 1 << 40
        assert not model.model.rotary_emb.inv_freq.is_meta
