"""One tiny random model of each family whose layers are walked."""

from __future__ import annotations

from typing import Any

import torch

COMMON: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
SLIDING = {"sliding_window": 8}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "mistral": SLIDING,
    "gemma2": SLIDING,  # every other layer has another mask
    "gemma3_text": SLIDING | {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    "qwen3_moe": EXPERTS,
}


ROWS = [[1, 5, 9, 2, 60, 33, 7, 8, 4, 11, 12, 13], [3, 3, 2, 1, 50, 20], [7, 9, 11, 40, 2, 5]]


def model_of(family: str, **changes: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**COMMON, **FAMILIES[family], **changes})
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


class OwnExperts(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.experts = torch.nn.ModuleList([mlp])

    def forward(self, states: Any) -> Any:
        flat = states.reshape(-1, states.shape[-1])
        return self.experts[0](flat[: len(flat) // 2]).mean() + states


def own_experts() -> Any:
    """A Llama whose layers choose the tokens of an expert in their own code."""
    model = model_of("llama")
    for layer in model.model.layers:
        layer.mlp = OwnExperts(layer.mlp)
    return model
