"""A tiny random Qwen3-MoE: two layers of four experts, two of them for each token."""

from __future__ import annotations

from typing import Any


def make_tiny_moe(seed: int = 0) -> Any:
    """A model in eval mode, float32; nothing is written."""
    import torch
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    config = Qwen3MoeConfig(
        vocab_size=128,
        hidden_size=48,
        intermediate_size=64,
        moe_intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=256,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3MoeForCausalLM(config).eval()
