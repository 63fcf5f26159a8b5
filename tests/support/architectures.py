"""Tiny random models of many architectures, written in the layout in which their publishers store them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VOCABULARY = 128
COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS: dict[str, Any] = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
LOCAL_EXPERTS: dict[str, Any] = {"num_local_experts": 8, "num_experts_per_tok": 2}
SHARED: dict[str, Any] = {"shared_expert_intermediate_size": 64}
LATENT: dict[str, Any] = {
    "q_lora_rank": 32,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
    "head_dim": 16,
    "num_key_value_heads": 4,
}
ROUTED: dict[str, Any] = {
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}
LINEAR: dict[str, Any] = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 4,
    "linear_num_value_heads": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
MAMBA: dict[str, Any] = {
    "mamba_d_state": 16,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}
DELTA: dict[str, Any] = {  # Kimi's linear attention
    **LATENT,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "linear_num_heads": 8,
    "linear_head_dim": 32,
    "num_experts": 8,
    "num_experts_per_token": 2,
    "moe_intermediate_size": 64,
    "num_expert_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "max_position_embeddings": None,
}
INDEXED: dict[str, Any] = {**LATENT, **ROUTED, "head_dim": None, "index_n_heads": 8, "index_head_dim": 32}
GPT: dict[str, Any] = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_inner": 128, "n_positions": 128}
FOUR: dict[str, Any] = {"num_key_value_heads": 4}
MANY: dict[str, Any] = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
}
EYE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "depth": 2,
    "num_attention_heads": 2,
    "num_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "out_hidden_size": 64,
}

# Text models: model_type -> settings beside COMMON.
TEXT: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "qwen2": {},
    "qwen3": {},
    "qwen2_moe": {**EXPERTS, **SHARED, "num_key_value_heads": 4},
    "qwen3_moe": EXPERTS,
    "qwen3_next": {**EXPERTS, **SHARED, **LINEAR},
    "qwen3_5_text": LINEAR,
    "qwen4_exp_text": {
        **EXPERTS,
        **SHARED,
        **LINEAR,
        "hc_count": 4,
        "hc_lowrank": 32,
        "ple_embed_dim": 64,
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 128,
        "indexer_compress_ratio": 4,
    },
    "qwen3_5_moe_text": {**EXPERTS, **SHARED, **LINEAR},
    "gemma": FOUR,
    "gemma2": {},
    "gemma3_text": {},
    "gemma4_text": {"hidden_size_per_layer_input": 32, "vocab_size_per_layer_input": VOCABULARY},
    "deepseek_v2": {**LATENT, **ROUTED},
    "deepseek_v3": {**LATENT, **ROUTED},
    "olmo": FOUR,
    "olmo2": FOUR,
    "olmo3": FOUR,
    "olmoe": {**EXPERTS, **FOUR},
    "granite": {},
    "granitemoe": {**LOCAL_EXPERTS},
    "hyperclovax": {},
    "minicpm3": LATENT,
    "cohere": {},
    "cohere2": {},
    "smollm3": {},
    "starcoder2": {},
    "gpt_oss": {**LOCAL_EXPERTS, "layer_types": ["sliding_attention", "full_attention"]},
    "mixtral": LOCAL_EXPERTS,
    "llama4_text": {**LOCAL_EXPERTS, "num_experts_per_tok": 1, "intermediate_size_mlp": 128, "moe_layers": [0, 1]},
    "phi": FOUR,
    "phi3": {},
    "phimoe": LOCAL_EXPERTS,
    "glm": {},
    "glm4": {},
    "glm4_moe": ROUTED,
    "minimax_m2": LOCAL_EXPERTS,
    "minimax": {**LOCAL_EXPERTS, "layer_types": ["full_attention", "full_attention"]},
    "gpt_neox": {},
    "biogpt": {},
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gptj": {**GPT, "rotary_dim": 8},
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    "bloom": {"n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 64, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2},
    "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64},
    "falcon": {"new_decoder_architecture": False, "alibi": False, "head_dim": None},
    "stablelm": {},
    "nemotron": {},
    "helium": {},
    "ernie4_5": {},
    "ernie4_5_moe": {"moe_num_experts": 8, "moe_k": 2, "moe_intermediate_size": 64, "moe_layer_start_index": 1},
    "exaone4": {},
    "hunyuan_v1_dense": {},
    "seed_oss": {},
    "apertus": {},
    "arcee": {},
    "dots1": ROUTED,
    "zaya": {"num_experts": 4},
    "openai-gpt": GPT,
    "mamba": {"state_size": 16, "expand": 2, "time_step_rank": 32},
    "falcon_mamba": {"state_size": 16, "expand": 2, "time_step_rank": 32},
    "mamba2": {"state_size": 16, "num_heads": 8, "head_dim": 16, "n_groups": 1, "expand": 2, "chunk_size": 16},
    "jamba": {
        **MAMBA,
        **EXPERTS,
        "attn_layer_offset": 1,
        "attn_layer_period": 2,
        "use_mamba_kernels": False,
        "mamba_dt_rank": 32,
    },
    "bamba": {**MAMBA, "attn_layer_indices": [1]},
    "falcon_h1": {**MAMBA, "mamba_d_ssm": 128},
    "granitemoehybrid": {
        **MAMBA,
        **LOCAL_EXPERTS,
        "shared_intermediate_size": 64,
        "layer_types": ["mamba", "attention"],
    },
    "recurrent_gemma": {"attention_window_size": 16, "num_hidden_layers": 3},
    "kimi_linear": {**DELTA, "layer_types": ["linear_attention", "full_attention"]},
    "bailing_hybrid": {**DELTA, "layer_group_size": 2},
    "olmo_hybrid": {**LINEAR, **FOUR, "linear_num_key_heads": 8},
    "deepseek_v32": {**INDEXED, "num_attention_heads": 8, "num_key_value_heads": 8},
    "deepseek_v4": {
        **ROUTED,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "q_lora_rank": 32,
        "qk_rope_head_dim": 16,
        "o_groups": 2,
        "o_lora_rank": 32,
        "index_n_heads": 8,
        "index_head_dim": 32,
    },
    "gemma3n_text": {
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "intermediate_size": [128] * 4,
        "activation_sparsity_pattern": [0.0] * 4,
        "laurel_rank": 32,
        "hidden_size_per_layer_input": 32,
        "vocab_size_per_layer_input": VOCABULARY,
    },
    "lfm2_moe": {**EXPERTS, "layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "sarvam_moe": {**EXPERTS, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
    "ctrl": {"n_embd": 64, "n_layer": 2, "n_head": 4, "dff": 128, "n_positions": 128},
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_multiple_of": 32},
}
# Text models that no method quantizes: model_type -> settings beside COMMON.
UNSUPPORTED: dict[str, dict[str, Any]] = {
    "jetmoe": LOCAL_EXPERTS,
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "moe", "moe"],
        "num_hidden_layers": 4,
        "mamba_num_heads": 8,
        "mamba_head_dim": 16,
        "ssm_state_size": 16,
        "n_groups": 1,
        **ROUTED,
        "n_routed_experts": 32,
        "moe_shared_expert_intermediate_size": 64,
    },
    "rwkv": {},
    "longcat_flash": {
        **LATENT,
        "num_layers": 2,
        "num_hidden_layers": None,
        "ffn_hidden_size": 128,
        "expert_ffn_hidden_size": 64,
        "n_routed_experts": 8,
        "zero_expert_num": 2,
        "moe_topk": 2,
    },
}
# Text models of which transformers changes loaded values: model_type -> settings beside COMMON.
CHANGED: dict[str, dict[str, Any]] = {"youtu": LATENT, "zaya": TEXT["zaya"]}
# Folders with other parts beside the text model: model_type -> (settings of the text part, settings of the whole).
MULTIMODAL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gemma3": ({}, {"mm_tokens_per_image": 4}),
    "qwen2_5_vl": (MANY, {}),
    "qwen3_vl": (MANY, {}),
    "qwen3_vl_moe": ({**MANY, **EXPERTS}, {}),
    "qwen3_5": (
        {**LINEAR, "rope_parameters": {**MANY["rope_parameters"], "mrope_section": [2, 1, 1]}},
        {},
    ),
    "mistral3": ({}, {}),
    "llama4": ({**TEXT["llama4_text"]}, {}),
    "aya_vision": ({"logit_scale": 0.25}, {"alignment_intermediate_size": 64}),
    "cohere2_vision": ({"logit_scale": 0.25}, {"alignment_intermediate_size": 64}),
    "idefics3": ({}, {}),
}
EYES: dict[str, dict[str, Any]] = {
    "qwen3_vl": {"deepstack_visual_indexes": [0], "num_position_embeddings": 16},
    "qwen3_vl_moe": {"deepstack_visual_indexes": [0], "num_position_embeddings": 16},
    "qwen3_5": {"num_position_embeddings": 16},
    "qwen2_5_vl": {"fullatt_block_indexes": [1], "window_size": 56},
    "llama4": {
        "vision_output_dim": 64,
        "projector_input_dim": 32,
        "projector_output_dim": 32,
        "pixel_shuffle_ratio": 0.5,
        "intermediate_size": 128,
    },
}


def make(kind: str, folder: Path, dtype: str = "float32", **changes: Any) -> Path:
    """Write a random model of the architecture `kind` into `folder`, without a tokenizer. Returns the folder.

    `changes` are settings of a text model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    known = {**TEXT, **UNSUPPORTED, **CHANGED}
    if kind in known:
        settings = {**COMMON, **known[kind], **changes}
        config = AutoConfig.for_model(kind, **{key: value for key, value in settings.items() if value is not None})
        maker: Any = AutoModelForCausalLM
    else:
        text, whole = MULTIMODAL[kind]
        plain = AutoConfig.for_model(kind)
        text_type = plain.text_config.model_type
        parts = {
            "text_config": {"model_type": text_type, **COMMON, **text},
            "vision_config": {"model_type": plain.vision_config.model_type, **EYE, **EYES.get(kind, {})},
        }
        config = AutoConfig.for_model(kind, **parts, **whole)
        maker = AutoModelForImageTextToText
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = maker.from_config(config, dtype=getattr(torch, dtype))
        for parameter in model.parameters():  # some families begin with zeros
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.1)
            elif not bool(parameter.data.count_nonzero()):
                torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(folder)
    return folder


def config_of(kind: str, folder: Path, **settings: Any) -> Path:
    """Write only a config.json of the architecture `kind` into `folder`. Returns the folder."""
    from transformers import AutoConfig

    from faq_tui.core.models.text_model import auto_class

    config = AutoConfig.for_model(kind, **settings)
    config.architectures = [auto_class(config)._model_mapping[type(config)].__name__]
    config.save_pretrained(folder)
    return folder


def write_rows(path: Path, rows: int = 12, length: int = 24) -> Path:
    """Write random token ids as a calibration set."""
    import random

    chance = random.Random(0)
    lines = [{"input_ids": [chance.randrange(3, VOCABULARY) for _ in range(length)]} for _ in range(rows)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
