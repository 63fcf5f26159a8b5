"""A tiny random Llama with a real tokenizer and a ChatML template: everything a target has, but small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind.",
    "user assistant system: a question, a calm answer, and the reasoning that leads to it.",
    "Quantization rounds each weight to a small grid; calibration chooses the grid.",
    "def add(a, b):\n    return a + b  # 0 1 2 3 4 5 6 7 8 9",
]


def make_tiny_model(
    folder: Path,
    hidden: int = 128,
    layers: int = 3,
    vocab: int = 512,
    intermediate: int | None = None,
    seed: int = 0,
    dtype: str = "bfloat16",
    tied: bool = True,
    chat_template: bool = True,
) -> Path:
    """Write a whole Hugging Face folder (weights, config, tokenizer, template) and return it.

    The tokenizer is a byte-level BPE, so that every text can be encoded and decoded. `vocab` must hold its 256 bytes
    and 3 special tokens
    (bos `<|im_start|>`, eos = pad `<|im_end|>`, unk `<|endoftext|>`). Every in_features is `hidden` or
    `intermediate` (2 x hidden if not given). The same arguments write the same weights.
    """
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    if vocab < 259:
        raise ValueError(f"a byte-level tokenizer needs 256 bytes and 3 special tokens, vocab is {vocab}")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(vocab, chat_template)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=2 * hidden if intermediate is None else intermediate,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # The usual 0.02 gives almost uniform answers at this width: no error would ever show in the logits.
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=0.7,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tiny_mixture(folder: Path, experts: int = 8) -> Path:
    """The same as a Qwen3-MoE: two layers, `experts` of width 64, of which a token goes to two."""
    import torch
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    make_tiny_model(folder, layers=1, tied=False)  # its tokenizer and template
    config = Qwen3MoeConfig(
        vocab_size=512,
        hidden_size=128,
        intermediate_size=256,
        moe_intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        num_experts=experts,
        num_experts_per_tok=2,
        decoder_sparse_step=1,
        norm_topk_prob=True,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen3MoeForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def make_rows(path: Path, count: int = 8, tokens: int = 48, vocab: int = 512, seed: int = 0) -> list[list[int]]:
    """Write `count` calibration rows of `tokens` to `tokens + count - 1` random ids; return the ids."""
    import random

    dice = random.Random(seed)
    rows = [[dice.randrange(vocab) for _ in range(tokens + index)] for index in range(count)]
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    return rows


def make_tiny_tokenizer() -> Any:
    """The tokenizer of `make_tiny_model`, with its template; nothing is written."""
    return _tokenizer(512, chat_template=True)


def _tokenizer(vocab: int, chat_template: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=vocab,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        unk_token="<|endoftext|>",
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        clean_up_tokenization_spaces=False,
    )
    if chat_template:
        tokenizer.chat_template = CHATML
    return tokenizer


# Of a run without sources, a few seconds long; recipes and texts come after it.
TINY_RUN = """
[target]
model = "target"
[seeds]
path = "seeds.txt"
count = 12
heldout = 2
[assemble]
max_tokens = 64
[activations]
enabled = false
"""


def make_tiny_run(folder: Path, settings: str, layers: int = 3) -> Path:
    """A run with a tiny random target, 20 seeds and `settings`, which begin with TINY_RUN."""
    make_tiny_model(folder / "target", layers=layers)
    lines = [f"Question {n}: which of the {n + 3} boxes is heavier, and by how much?" for n in range(20)]
    (folder / "seeds.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "faq.toml").write_text(settings, encoding="utf-8")
    return folder
