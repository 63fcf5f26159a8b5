"""The tokenizer: vocabulary, merges and chat template of the GGUF as `tokenizer.json` and its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from faq_tui.core.embedded.container import value
from faq_tui.core.errors import FaqError

if TYPE_CHECKING:
    from gguf import GGUFReader

CONTROL = 3  # llama.cpp's LLAMA_TOKEN_TYPE_CONTROL: never produced from plain pieces, only matched whole


def write_tokenizer(reader: GGUFReader, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json into `folder`.

    llama.cpp's pre-tokenizer `smollm` first sets every digit apart and then applies GPT-2's pattern
    (llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_SMOLLM); transformers' own GGUF import drops the first step.
    Six control bytes (04 06 13 14 16 1d) are not in the vocabulary: both drop them, and only here the
    characters on the two sides may then join into one token.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kind = (value(reader, "tokenizer.ggml.model"), value(reader, "tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise FaqError(f"the embedded model has a tokenizer of kind {kind}, not the one this release knows")
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
        # GPT2Tokenizer, the original's class, would build its own pre-tokenizer and lose the digits again.
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
