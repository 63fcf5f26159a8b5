"""Convert the GGUF file to a Hugging Face folder. transformers can load this folder without a network.

`ensure_model` runs `python -m faq_tui.core.embedded.convert GGUF FOLDER` in a child process.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.embedded.gguf_file import TEMPERATURE, TOP_P, llama_shape, open_gguf, value

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader

CONTROL = 3  # llama.cpp's LLAMA_TOKEN_TYPE_CONTROL, the type of special tokens

# These dicts map tensor names of llama.cpp to names in transformers' LlamaModel. The source is MODEL_ARCH.LLAMA in
# gguf-py/gguf/tensor_mapping.py.
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


def convert(gguf: Path, folder: Path) -> None:
    """Write the config, generation settings, tokenizer and weights of `gguf` into `folder`, which must exist.

    The conversion takes about 10 s and 1 GB of memory. Raises FaqError if the file is not the supported Llama model,
    UsageError if the package `gguf` is not installed, and OSError if `folder` cannot be written.
    """
    reader = open_gguf(gguf)
    token_ids = {
        "bos_token_id": value(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": value(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": value(reader, "tokenizer.ggml.padding_token_id"),
    }
    _write_json(folder / "config.json", _config(reader, token_ids))
    _write_json(
        folder / "generation_config.json",
        {"do_sample": True, "temperature": TEMPERATURE, "top_p": TOP_P, **token_ids},
    )
    write_tokenizer(reader, folder)
    write_weights(reader, folder / "model.safetensors")


def _config(reader: GGUFReader, token_ids: dict[str, int]) -> dict[str, Any]:
    """The content of config.json. transformers' LlamaConfig reads it."""
    shape = llama_shape(reader)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.hidden // shape.heads,
        "hidden_act": "silu",
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        # vLLM and transformers 4 read `rope_theta`; transformers 5 reads `rope_parameters`.
        "rope_theta": shape.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        # The GGUF file stores this number as a float32, which changes 1e-5 to 9.99999975e-06. Rounding restores 1e-5.
        "rms_norm_eps": round(shape.rms_norm_eps, 12),
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        **token_ids,
    }


def _write_json(path: Path, body: dict[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def write_tokenizer(reader: GGUFReader, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json into `folder`.

    llama.cpp's pre-tokenizer `smollm` first splits off every digit, and then applies GPT-2's pattern (see
    LLAMA_VOCAB_PRE_TYPE_SMOLLM in llama-vocab.cpp). transformers can import GGUF files, too, but it omits the first
    step.

    Six control bytes (04 06 13 14 16 1d) are not in the vocabulary. llama.cpp and this tokenizer both drop them.
    After a byte is dropped, this tokenizer may merge the characters before and after it into one token. llama.cpp
    never merges the characters before and after a dropped byte.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kind = (value(reader, "tokenizer.ggml.model"), value(reader, "tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise FaqError(f"the embedded model has an unsupported tokenizer {kind}: delete its file and run again")
    tokens: list[str] = value(reader, "tokenizer.ggml.tokens")
    types: list[int] = value(reader, "tokenizer.ggml.token_type")
    merges: list[str] = value(reader, "tokenizer.ggml.merges")

    def token(role: str) -> str:
        index: int = value(reader, f"tokenizer.ggml.{role}_token_id")
        return tokens[index]

    bpe = models.BPE(
        vocab={text: index for index, text in enumerate(tokens)},
        merges=[(left, right) for left, _, right in (merge.partition(" ") for merge in merges)],
    )
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [text for text, type_ in zip(tokens, types, strict=True) if type_ == CONTROL]
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    tokenizer.save(str(folder / "tokenizer.json"))

    settings = {
        # The original model names the class GPT2Tokenizer. The pre-tokenizer of the class GPT2Tokenizer would not
        # split digits.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token("bos"),
        "eos_token": token("eos"),
        "pad_token": token("padding"),
        "unk_token": token("unknown"),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": value(reader, "llama.context_length"),
        "chat_template": value(reader, "tokenizer.chat_template"),
    }
    text = json.dumps(settings, ensure_ascii=False, indent=2)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def hf_name(gguf_name: str) -> str:
    """The Hugging Face name of a tensor. Raises FaqError if the name is unknown.

    For `blk.3.attn_q.weight` the result is `model.layers.3.self_attn.q_proj.weight`.
    """
    if gguf_name in TOP:
        return TOP[gguf_name]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", gguf_name)
    if match is None or match[2] not in BLOCK:
        raise FaqError(f"the embedded model has the tensor {gguf_name!r}, which Llama models do not have")
    return f"model.layers.{match[1]}.{BLOCK[match[2]]}.weight"


def unpermute(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Reorder the rows of a q or k projection from llama.cpp's order to that of Hugging Face.

    `weight` has the shape [heads * head_dim, hidden].

    Rotary embeddings rotate pairs of rows. In llama.cpp, neighbouring rows form a pair. In transformers, row i of a
    head's first half and row i of its second half form a pair. Because of this difference, llama.cpp's converter
    reorders the rows (`LlamaModel.permute` in convert_hf_to_gguf.py). This function restores the order of the
    original model.
    """
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def write_weights(reader: GGUFReader, path: Path) -> None:
    """Write all tensors to `path` as bfloat16 safetensors. The output layer is tied to the embedding.

    The original model and gptqmodel use bfloat16, and CPUs compute fast in bfloat16. Rounding the weights to bfloat16
    changes the predictions little: the KL divergence from the float32 model is 5e-5 nats per token. For comparison,
    the KL divergence is 3e-6 with float16 weights, 0.6 with 4-bit weights, and 1e-3 if a model with float32 weights
    computes in bfloat16. Quantized models are compared with the model in this folder, not with the float32 model.
    """
    import torch
    from gguf.quants import dequantize
    from safetensors.torch import save_file

    shape = llama_shape(reader)
    tensors = {}
    for entry in reader.tensors:
        name = hf_name(entry.name)
        # a float32 array; its first axis holds the rows, as in Hugging Face
        weight = dequantize(entry.data, entry.tensor_type)
        if name.endswith("q_proj.weight"):
            weight = unpermute(weight, shape.heads)
        elif name.endswith("k_proj.weight"):
            weight = unpermute(weight, shape.kv_heads)
        tensors[name] = torch.from_numpy(weight.copy()).to(torch.bfloat16)
    save_file(tensors, path, metadata={"format": "pt"})


def main() -> None:
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except FaqError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
