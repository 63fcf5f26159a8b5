"""Write the file that the embedded server reads: the embedded model with its matrices in the type Q8_0.

The published file has its matrices in the type Q4_1. llama.cpp has no fast kernel for Q4_1 on a CPU, so with this
type the server needs 1.5 times as much CPU time per token. Rounding a 4-bit weight to 8 bits changes the weight by
at most 0.5 % of the largest weight in its block of 32 weights.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.embedded import gguf_file
from faq_tui.core.embedded.cache import Say, cache_folder, flush, locked, os_errors_in_words, scratch
from faq_tui.core.embedded.model import ensure_gguf

if TYPE_CHECKING:
    from gguf import GGUFReader

VERSION = 1  # Increase this number if `write_served` changes. With a new number, faq-tui writes the file again.
SERVED_NAME = f"{gguf_file.MODEL_NAME}.Q8_0.v{VERSION}.gguf"
BLOCK, BLOCK_BYTES = 32, 34  # Q8_0 stores 32 weights as a scale in float16 and 32 bytes


def ensure_served(say: Say) -> Path:
    """Return the path of the file for the server. If the file is not in the cache, write it first; this takes 5 s.

    Raises the errors of `ensure_gguf`, and UsageError if the package `gguf` is not installed.
    """
    gguf, folder = ensure_gguf(say), cache_folder()
    final = folder / SERVED_NAME
    if not final.is_file():
        with os_errors_in_words(folder), locked(folder, say):
            if not final.is_file():
                say(f"converting {gguf_file.MODEL_NAME} for the embedded server (5 s, once)")
                with scratch(folder) as unfinished:
                    half = unfinished / SERVED_NAME
                    write_served(gguf_file.open_gguf(gguf), half)
                    flush(half)
                    half.replace(final)
    return final


def write_served(reader: GGUFReader, path: Path) -> None:
    """Write the model of `reader` to `path`, with the same metadata, and with matrices of the type Q8_0.

    A GGUF file has a header with the metadata, a list of the tensors, and the aligned data of each tensor. See
    https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
    """
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    q8 = GGMLQuantizationType.Q8_0
    old = (GGMLQuantizationType.Q4_1,)
    infos, end = b"", 0
    for tensor in reader.tensors:
        kind = q8 if tensor.tensor_type in old else tensor.tensor_type
        name, shape = tensor.name.encode(), [int(size) for size in tensor.shape]
        infos += struct.pack("<Q", len(name)) + name
        infos += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, int(kind), end)
        size = tensor.n_elements // BLOCK * BLOCK_BYTES if tensor.tensor_type in old else tensor.n_bytes
        end += _aligned(int(size), reader.alignment)
    start = min(tensor.field.offset for tensor in reader.tensors)
    with path.open("wb") as file:
        _write(file, bytes(reader.data[:start]) + infos, reader.alignment)
        for tensor in reader.tensors:
            data = tensor.data
            if tensor.tensor_type in old:
                data = quantize(dequantize(data, tensor.tensor_type), q8)
            _write(file, data.tobytes(), reader.alignment)


def _write(file: Any, data: bytes, alignment: int) -> None:
    file.write(data)
    file.write(b"\0" * (_aligned(len(data), alignment) - len(data)))


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
