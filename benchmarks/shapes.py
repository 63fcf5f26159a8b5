"""Create random models with the layer shapes of real models, and calibration rows for them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shape:
    """A shape from the config.json of the real model. `real_layers` is the number of layers of the real model."""

    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    real_layers: int
    experts: int = 0
    chosen: int = 0  # number of experts per token
    expert_size: int = 0
    vocab: int = 32_768


# Dense rates of an H200 in FLOP/s, from NVIDIA's data sheet (which gives them with sparsity, so twice as high).
BF16, TF32, FP32 = 989e12, 494e12, 67e12


def limit_seconds(shape: Shape, tokens: int) -> float:
    """A lower bound for the time of GPTQ for one layer on an H200: the number of floating-point operations, divided
    by the GPU's rates.

    With T tokens and a matrix [out, in], the forward pass takes 2·T·in·out operations (bfloat16), the Hessian of each
    distinct input 2·T·in² (TF32), its Cholesky factor, inverse and second factor 4/3·in³, and the columns in²·out
    (float32). A router sends every token to `chosen` experts. Attention scores and all reads of memory are left out.
    """
    heads, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    # One entry per distinct input: its width, the widths of all outputs, how many times it exists, and its tokens.
    inputs: list[tuple[int, int, int, float]] = [
        (shape.hidden, heads + 2 * kv, 1, tokens),
        (heads, shape.hidden, 1, tokens),
    ]
    count, width = (shape.experts, shape.expert_size) if shape.experts else (1, shape.intermediate)
    each = tokens * shape.chosen / shape.experts if shape.experts else tokens
    inputs += [(shape.hidden, 2 * width, count, each), (width, shape.hidden, count, each)]
    seconds = 0.0
    for columns, out, number, seen in inputs:
        forward, hessian = 2 * seen * columns * out / BF16, 2 * seen * columns**2 / TF32
        solve = (4 / 3 * columns**3 + columns**2 * out) / FP32
        seconds += number * (forward + hessian + solve)
    return seconds


MODELS = {
    "qwen3-8b": Shape(4096, 12288, 32, 8, 128, 36),
    "qwen3-30b-a3b": Shape(2048, 6144, 32, 4, 128, 48, 128, 8, 768),
    "qwen3-1.7b": Shape(2048, 6144, 16, 8, 128, 28),
}
TINY = {
    "qwen3-8b": Shape(256, 512, 4, 2, 64, 36, vocab=512),
    "qwen3-30b-a3b": Shape(128, 256, 4, 2, 32, 48, 8, 2, 128, vocab=512),
    "qwen3-1.7b": Shape(128, 256, 4, 2, 32, 28, vocab=512),
}


def config_of(shape: Shape, layers: int) -> Any:
    from transformers import Qwen3Config, Qwen3MoeConfig

    common: dict[str, Any] = {
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "dtype": "bfloat16",
    }
    if not shape.experts:
        return Qwen3Config(**common)
    return Qwen3MoeConfig(
        **common,
        num_experts=shape.experts,
        num_experts_per_tok=shape.chosen,
        moe_intermediate_size=shape.expert_size,
        decoder_sparse_step=1,
        norm_topk_prob=True,
    )


def make_model(folder: Path, shape: Shape, layers: int, device: str) -> Path:
    """Write the model, unless it exists already. The model's folder gets a config, weights, and the files of a dummy
    tokenizer."""
    if (folder / "config.json").is_file():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config_of(shape, layers), dtype=torch.bfloat16)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model.save_pretrained(folder)
    del model
    if device == "cuda":
        torch.cuda.empty_cache()
    write_tokenizer(folder)
    return folder


def write_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer with three special tokens. The folder has all files that loaders need."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=259, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(["a"], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token=special[0], bos_token=special[1], eos_token=special[2], pad_token=special[2]
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)


def make_rows(path: Path, count: int, tokens: int, vocab: int) -> list[list[int]]:
    dice = random.Random(0)
    rows = [[dice.randrange(vocab) for _ in range(tokens)] for _ in range(count)]
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    return rows
