"""GGUF to a Hugging Face folder that plain `AutoModelForCausalLM` and `AutoTokenizer` load without a network.

`python -m faq_tui.core.embedded.convert GGUF FOLDER` is how `ensure_model` runs it, in a process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.embedded.container import llama_shape, open_gguf, value
from faq_tui.core.embedded.pinned import TEMPERATURE, TOP_P
from faq_tui.core.embedded.tokenizer import write_tokenizer
from faq_tui.core.embedded.weights import write_weights
from faq_tui.core.errors import FaqError

if TYPE_CHECKING:
    from gguf import GGUFReader


def convert(gguf: Path, folder: Path) -> None:
    """Write config, generation settings, tokenizer and weights of `gguf` into the existing `folder`.

    About 10 s and 1 GB of memory. Raises FaqError if the file is not a Llama model of the kind that is
    pinned, UsageError without the `gguf` package, OSError if it cannot be written.
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
    """What transformers' LlamaConfig reads."""
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
        # Both spellings: transformers 5 reads the second, vLLM and older releases the first.
        "rope_theta": shape.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "rms_norm_eps": round(shape.rms_norm_eps, 12),  # stored as float32: 1e-5 comes back as 9.99999975e-06
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        **token_ids,
    }


def _write_json(path: Path, body: dict[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except FaqError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
