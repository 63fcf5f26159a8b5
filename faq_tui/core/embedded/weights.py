"""The weights: GGUF tensors to Hugging Face's names, order of rows and bfloat16."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.embedded.container import llama_shape
from faq_tui.core.errors import FaqError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader

# The names of llama.cpp (gguf-py/gguf/tensor_mapping.py, MODEL_ARCH.LLAMA) against transformers' LlamaModel.
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hf_name(gguf_name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`; FaqError on an unknown name."""
    if gguf_name in TOP:
        return TOP[gguf_name]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", gguf_name)
    if match is None or match[2] not in BLOCK:
        raise FaqError(f"the embedded model has a tensor that a Llama model has not: {gguf_name!r}")
    return f"model.layers.{match[1]}.{BLOCK[match[2]]}.weight"


def unpermute(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of a q or k projection [heads * head_dim, hidden] from llama.cpp's order to Hugging Face's.

    llama.cpp rotates neighbouring pairs, transformers the two halves of a head; its converter therefore
    reorders the rows (`LlamaModel.permute` in llama.cpp's convert_hf_to_gguf.py), and this is the inverse.
    """
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def write_weights(reader: GGUFReader, path: Path) -> None:
    """Write all tensors to `path` as bfloat16 safetensors; the output layer is the embedding, tied.

    bfloat16 because it is the original's type, gptqmodel's, and the fast one on CPUs. It rounds: against
    float32 the next-token distribution moves by KL 5e-5 (float16: 3e-6), where computing in bfloat16 moves
    it by 1e-3 and plain 4-bit rounding by 0.6. Whatever is compared is this folder and quantizations of it.
    """
    import torch
    from gguf.quants import dequantize
    from safetensors.torch import save_file

    shape = llama_shape(reader)
    tensors = {}
    for entry in reader.tensors:
        name = hf_name(entry.name)
        weight = dequantize(entry.data, entry.tensor_type)  # float32, rows first as in Hugging Face
        if name.endswith("q_proj.weight"):
            weight = unpermute(weight, shape.heads)
        elif name.endswith("k_proj.weight"):
            weight = unpermute(weight, shape.kv_heads)
        tensors[name] = torch.from_numpy(weight.copy()).to(torch.bfloat16)
    save_file(tensors, path, metadata={"format": "pt"})
