"""What a model folder holds, from its safetensors headers alone: no torch, no weights read."""

from __future__ import annotations

import math
import re
from pathlib import Path

from faq_tui.core.errors import UsageError

_BITS = re.compile(r"(\d+)")


def tensors_of(folder: Path) -> dict[str, tuple[Path, tuple[int, ...], int]]:
    """Every tensor's file, shape and size in bytes. Raises UsageError if there is no readable weight file."""
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UsageError(f"{folder} has no *.safetensors files: give a folder with weights in that format")
    found: dict[str, tuple[Path, tuple[int, ...], int]] = {}
    for path in files:
        try:
            with safe_open(path, framework="np") as reader:
                for name in reader.keys():  # noqa: SIM118  it is no dict
                    part = reader.get_slice(name)
                    shape = tuple(part.get_shape())
                    found[name] = (path, shape, math.prod(shape) * _bits(part.get_dtype()) // 8)
        except SafetensorError as error:
            raise UsageError(f"{path} cannot be read ({error}): fetch the model again") from error
    return found


def linear_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """(out_features, in_features) of every weight matrix inside the layers of an unquantized model.

    Embeddings and the head, which stay as they are, have no layer number in their name.
    """
    return {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, (_, shape, _) in tensors_of(folder).items()
        if name.endswith(".weight") and len(shape) == 2 and re.search(r"\.\d+\.", name)
    }


def packed_modules(folder: Path) -> list[str]:
    """The names of every module that a GPTQ or AWQ folder holds packed."""
    return [name.removesuffix(".qweight") for name in tensors_of(folder) if name.endswith(".qweight")]


def packed_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """(out_features, in_features) of every module that a GPTQ folder holds packed."""
    tensors = tensors_of(folder)
    return {
        name.removesuffix(".qweight"): (shape[1], tensors[name.removesuffix("qweight") + "g_idx"][1][0])
        for name, (_, shape, _) in tensors.items()
        if name.endswith(".qweight")
    }


def _bits(dtype: str) -> int:
    """Width of a safetensors dtype such as BF16, I32, F8_E4M3; BOOL is a byte."""
    width = _BITS.search(dtype)
    return int(width.group(1)) if width else 8
