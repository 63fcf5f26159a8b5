"""Choose the published format of a folder, and list the dense tensors of the folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.published.base import Packed, PublishedFormat, StoredTensor
from faq_tui.core.models.published.fp8 import SCALE, Fp8Blocks
from faq_tui.core.models.published.mxfp4 import Mxfp4

FORMATS: tuple[PublishedFormat, ...] = (Fp8Blocks(), Mxfp4())
KEYS = ("quantization_config", "compression_config")  # the second key is from older compressed-tensors folders
NARROW = ("F8_", "F6_", "F4")  # how the names of float types with fewer than 16 bits begin
CODED = (".weight", "_blocks", "_packed")  # how the names of tensors with integer codes end
WIDTHS = {"bfloat16": 2, "float16": 2, "float32": 4}  # bytes of a value
READABLE = " or ".join(f"{one.title} (quant_method {one.quant_method})" for one in FORMATS)


def quantization_in(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The quantization settings in `config` (config.json); None if the model's weights are dense."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        for key in KEYS:
            if part.get(key):
                return part[key] if isinstance(part[key], dict) else {"quant_method": part[key]}
    return None


def format_named(quantization: Mapping[str, Any] | None) -> PublishedFormat | None:
    """The published format with the `quant_method` of `quantization`; None if faq-tui reads no such format."""
    name = (quantization or {}).get("quant_method")
    return next((one for one in FORMATS if one.quant_method == name), None)


@dataclass(frozen=True)
class DenseView:
    """The tensors of a published folder in their dense form.

    `tensors` has the file, shape and size in bytes of each dense tensor. `packed` has the tensors that are computed
    from codes and scales. The dtype of these tensors is the dtype of config.json; `dtype` is its torch name.
    """

    format: PublishedFormat
    quantization: Mapping[str, Any]
    dtype: str
    packed: Mapping[str, Packed]
    tensors: dict[str, tuple[Path, tuple[int, ...], int]]

    def read(self, name: str, stored: Callable[[str], Any]) -> Any:
        """The dense tensor `name`, on the CPU. The function `stored` reads a tensor of the files."""
        import torch

        if name not in self.packed:
            return stored(name)
        part = self.packed[name]
        return self.format.dense(
            stored(part.codes), stored(part.scales), self.quantization, getattr(torch, self.dtype)
        )


def dense_view(
    folder: Path, stored: Mapping[str, StoredTensor], size: Callable[[StoredTensor], int]
) -> DenseView | None:
    """The dense view of a folder with the tensors `stored`; None if its format is not one of FORMATS.

    `size` returns the number of bytes of a stored tensor. Raises UsageError if the codes and scales do not fit
    together, or if config.json does not say how codes are quantized.
    """
    config = _config(folder)
    quantization = quantization_in(config)
    if quantization is None:
        narrow = (name for name, one in stored.items() if name.endswith(SCALE) or one.dtype.startswith(NARROW))
        _refuse_undeclared(folder, next(narrow, ""))
    format = format_named(quantization)
    if quantization is None or format is None:
        return None
    try:
        packed = format.packed(stored, quantization)
        hidden = {name for one in packed.values() for name in (one.codes, one.scales)} | format.unused(stored, packed)
        lost = next((name for name, one in stored.items() if name not in hidden and _is_code(name, one)), None)
        if lost is not None:
            raise ValueError(f"{lost} has the type {stored[lost].dtype}, which is another format")
    except ValueError as error:
        raise UsageError(
            f"{folder} cannot be read as {format.title}: {error}; fetch the model again, "
            "or give the unquantized model"
        ) from None
    dtype = dtype_of(config)
    tensors = {name: (one.path, one.shape, size(one)) for name, one in stored.items() if name not in hidden}
    for name, one in packed.items():
        tensors[name] = (stored[one.codes].path, one.shape, math.prod(one.shape) * WIDTHS[dtype])
    return DenseView(format, quantization, dtype, packed, tensors)


def refuse_codes(folder: Path, stored: Mapping[str, StoredTensor]) -> None:
    """Raise UsageError if the dense model in `folder` has weights that are integer codes of an unknown quantization.

    A W8A8 artefact has such weights before its config.json is complete.
    """
    _refuse_undeclared(folder, next((name for name, one in stored.items() if _is_code(name, one)), ""))


def _refuse_undeclared(folder: Path, name: str) -> None:
    if name:
        raise UsageError(
            f"{folder} has quantized weights ({name}), but config.json has no quantization_config: fetch the model "
            "again with its own config.json, or give the unquantized model"
        )


def _is_code(name: str, tensor: StoredTensor) -> bool:
    """True if the tensor holds codes of quantized weights, or scales in 8 bits.

    Masks of attention in 8 bits, as in the files of GPT-NeoX, are no codes.
    """
    return tensor.dtype.startswith(NARROW) or (tensor.dtype in ("U8", "I8") and name.endswith(CODED))


def dtype_of(config: Mapping[str, Any]) -> str:
    """The torch name of the dtype in config.json; bfloat16 if config.json names no dtype of `WIDTHS`."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        for key in ("dtype", "torch_dtype"):
            if str(part.get(key)) in WIDTHS:
                return str(part[key])
    return "bfloat16"


def _config(folder: Path) -> dict[str, Any]:
    """The content of config.json, or {} if the file cannot be read. Other checks report unreadable files."""
    try:
        body = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
