"""Tiny models in the forms in which publishers quantize: a DeepSeek-V3 in FP8, and a gpt-oss with MXFP4 experts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.tiny import make_tiny_model

MTP = "model.layers.2."  # the layer after the last one predicts a second token; transformers does not load it
FP8 = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}


def make_tiny_deepseek(folder: Path, plain: Path) -> Path:
    """Write a DeepSeek-V3 in FP8 as it is published, and into `plain` the same model with dense weights in bfloat16.

    Two layers, the second with 8 experts, and a layer for multi-token prediction. The first file holds all but the
    scales of the MTP layer, which are in a second file.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    for each in (folder, plain):
        make_tiny_model(each, layers=1, tied=False)  # its tokenizer and template
    config = DeepseekV3Config(
        vocab_size=512,
        hidden_size=192,
        intermediate_size=320,
        moe_intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        n_routed_experts=8,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        n_shared_experts=1,
        first_k_dense_replace=1,
        kv_lora_rank=32,
        q_lora_rank=48,
        qk_rope_head_dim=16,
        qk_nope_head_dim=32,
        v_head_dim=48,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        DeepseekV3ForCausalLM(config).to(torch.bfloat16).save_pretrained(plain)
    dense = _tensors(plain)
    last = {name: tensor for name, tensor in dense.items() if name.startswith("model.layers.1.")}
    dense |= {f"{MTP}{name.removeprefix('model.layers.1.')}": tensor.clone() for name, tensor in last.items()}
    dense[f"{MTP}eh_proj.weight"] = torch.randn(192, 384).to(torch.bfloat16)
    dense[f"{MTP}enorm.weight"] = torch.ones(192, dtype=torch.bfloat16)
    stored: dict[str, Any] = {}
    for name, tensor in dense.items():
        if (".layers." in name and name.endswith("_proj.weight")) or "_a_proj" in name or "_b_proj" in name:
            codes, scales = to_fp8(tensor)
            stored |= {name: codes, f"{name}_scale_inv": scales}
            dense[name] = by_hand(codes, scales).to(torch.bfloat16)
        else:
            stored[name] = tensor
    apart = {name: stored.pop(name) for name in list(stored) if name.startswith(MTP) and name.endswith("_scale_inv")}
    for path in [*folder.glob("*.safetensors*"), *plain.glob("*.safetensors*")]:
        path.unlink()
    save_file(dense, plain / "model.safetensors", {"format": "pt"})
    files = {"model-00001-of-00002.safetensors": stored, "model-00002-of-00002.safetensors": apart}
    for file, tensors in files.items():
        save_file(tensors, folder / file, {"format": "pt"})
    body = {"metadata": {}, "weight_map": {name: file for file, tensors in files.items() for name in tensors}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(body), encoding="utf-8")
    body = json.loads((plain / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**body, "quantization_config": FP8}), encoding="utf-8")
    return folder


def make_tiny_gpt_oss(folder: Path, plain: Path) -> Path:
    """Write a gpt-oss with MXFP4 experts as it is published, and into `plain` the same model in bfloat16."""
    import torch
    from safetensors.torch import save_file
    from transformers import GptOssConfig, GptOssForCausalLM

    for each in (folder, plain):
        make_tiny_model(each, layers=1, tied=False)
    config = GptOssConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=1024,
        sliding_window=32,
        rope_scaling=None,
        layer_types=["sliding_attention", "full_attention"],
        tie_word_embeddings=False,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GptOssForCausalLM(config).to(torch.bfloat16).save_pretrained(plain)
        dense, stored = _tensors(plain), dict[str, Any]()
        for name, tensor in dense.items():
            if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
                stored[name] = tensor
                continue
            experts, inner, out = tensor.shape
            codes = torch.randint(0, 256, (experts, out, inner // 32, 16), dtype=torch.uint8)
            scales = torch.randint(119, 124, (experts, out, inner // 32), dtype=torch.uint8)
            stored |= {f"{name}_blocks": codes, f"{name}_scales": scales}
            dense[name] = four_bits_by_hand(codes, scales).to(torch.bfloat16)
    for each, tensors in ((plain, dense), (folder, stored)):
        for path in each.glob("*.safetensors*"):
            path.unlink()
        save_file(tensors, each / "model.safetensors", {"format": "pt"})
    body = json.loads((plain / "config.json").read_text(encoding="utf-8"))
    form = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    (folder / "config.json").write_text(json.dumps({**body, "quantization_config": form}), encoding="utf-8")
    return folder


def to_fp8(weight: Any, block: tuple[int, int] = (128, 128)) -> tuple[Any, Any]:
    """FP8 codes of a matrix and the scales of its blocks, as DeepSeek publishes them."""
    import torch

    rows, columns = -(-weight.shape[0] // block[0]), -(-weight.shape[1] // block[1])
    codes, scales = torch.empty(weight.shape, dtype=torch.float8_e4m3fn), torch.empty(rows, columns)
    for row in range(rows):
        for column in range(columns):
            part = (slice(row * block[0], (row + 1) * block[0]), slice(column * block[1], (column + 1) * block[1]))
            scale = weight[part].float().abs().max() / 448
            scales[row, column] = scale
            codes[part] = (weight[part].float() / scale).to(torch.float8_e4m3fn)
    return codes, scales


def by_hand(codes: Any, scales: Any, block: tuple[int, int] = (128, 128)) -> Any:
    """The float32 weight, value by value: w[r, c] = code[r, c] * scale[r / rows, c / columns]."""
    import torch

    row, column = torch.arange(codes.shape[0]) // block[0], torch.arange(codes.shape[1]) // block[1]
    return codes.float() * scales.float()[row[:, None], column[None, :]]


def four_bits_by_hand(codes: Any, scales: Any) -> Any:
    """The weight [experts, in, out] in float64 of E2M1 codes: sign, two bits of exponent, one bit of mantissa."""
    import torch

    nibbles = torch.stack([codes & 15, codes >> 4], -1).reshape(*codes.shape[:-1], 32).to(torch.float64)
    sign, exponent, mantissa = nibbles // 8, nibbles % 8 // 2, nibbles % 2
    # a code with exponent 0 is subnormal: 0 or 0.5
    size = torch.where(exponent == 0, mantissa / 2, (1 + mantissa / 2) * torch.exp2(exponent - 1))
    wide = (1 - 2 * sign) * size * torch.exp2(scales.to(torch.float64) - 127)[..., None]
    return wide.reshape(*codes.shape[:2], -1).transpose(1, 2).contiguous()


def _tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))
