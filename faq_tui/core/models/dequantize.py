"""Packed folders as dense state dicts: one function a format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.models.headers import tensors_of

Dequantize = Callable[[Path, dict[str, Any], Any], dict[str, Any]]  # (folder, quantization_config, dtype) -> state


class _Tensors:
    """Every tensor of a folder by name, in whichever file it lies."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        self.files = {name: path for name, (path, _, _) in tensors_of(folder).items()}
        self.readers: dict[Path, Any] = {path: safe_open(path, framework="pt") for path in set(self.files.values())}

    def read(self, name: str) -> Any:
        return self.readers[self.files[name]].get_tensor(name)

    def as_it_is(self, name: str, dtype: Any) -> Any:
        tensor = self.read(name)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor


def gptq_state(folder: Path, quantization: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """The dense state dict of a GPTQ folder: `name.weight` (out_features, in_features) for a packed `name`.

    w = scales[g_idx] * (q - zeros[g_idx]), with gptqmodel's own unpacking. Its `convert_gptq_file`
    does the same for one file, but fails on a module whose tensors lie in two.
    """
    import torch

    from faq_tui.core.models.gptqmodel_environment import import_gptqmodel

    import_gptqmodel()
    from gptqmodel.utils.model_dequant import (
        _correct_gptq_v1_qzeros,
        _uses_gptq_v1_qzeros,
        unpack_cols,
        unpack_rows,
    )

    bits, tensors = quantization["bits"], _Tensors(folder)
    state: dict[str, Any] = {}
    for name in tensors.files:
        module, _, part = name.rpartition(".")
        if part == "qweight":
            qzeros = tensors.read(f"{module}.qzeros")
            if _uses_gptq_v1_qzeros(quantization):
                qzeros = _correct_gptq_v1_qzeros(qzeros, bits)
            groups = tensors.read(f"{module}.g_idx").long()
            codes = unpack_rows(tensors.read(name), bits).to(torch.float32)
            zeros = unpack_cols(qzeros, bits).to(torch.float32)[groups]
            scales = tensors.read(f"{module}.scales").to(torch.float32)[groups]
            state[f"{module}.weight"] = ((codes - zeros) * scales).to(dtype).t().contiguous()
        elif part not in ("qzeros", "scales", "g_idx"):
            state[name] = tensors.as_it_is(name, dtype)
    return state


AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # where the eight columns of one 32-bit word stand in it


def awq_state(folder: Path, quantization: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """The dense state dict of an AWQ folder in the GEMM layout: w = scale * (q - zero), 4 bits.

    Words hold columns in the order that AWQ's first kernel wanted; gptqmodel's `convert_awq_file` leaves them
    in it, so that its dense weights are shuffled.
    """
    import torch

    tensors = _Tensors(folder)

    def unpacked(name: str) -> Any:
        words = tensors.read(name)  # [rows, columns / 8]
        shifts = torch.tensor([4 * place for place in AWQ_ORDER], dtype=torch.int32)
        return ((words[:, :, None] >> shifts) & 15).reshape(len(words), -1).to(torch.float32)

    state: dict[str, Any] = {}
    for name in tensors.files:
        module, _, part = name.rpartition(".")
        if part == "qweight":
            codes = unpacked(name)  # [in_features, out_features]
            group = len(codes) if quantization["group_size"] == -1 else quantization["group_size"]
            zeros, scales = unpacked(f"{module}.qzeros"), tensors.read(f"{module}.scales").to(torch.float32)
            wide = [part.repeat_interleave(group, dim=0)[: len(codes)] for part in (zeros, scales)]
            state[f"{module}.weight"] = ((codes - wide[0]) * wide[1]).to(dtype).t().contiguous()
        elif part not in ("qzeros", "scales"):
            state[name] = tensors.as_it_is(name, dtype)
    return state


def compressed_state(folder: Path, quantization: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """The dense state dict of a compressed-tensors folder with INT8 weights: w = scale * q a channel."""
    import torch

    del quantization
    tensors = _Tensors(folder)
    state: dict[str, Any] = {}
    for name in tensors.files:
        if f"{name}_scale" in tensors.files:
            scale = tensors.read(f"{name}_scale").to(torch.float32)
            state[name] = (tensors.read(name).to(torch.float32) * scale).to(dtype)
        elif not name.endswith(".weight_scale"):
            state[name] = tensors.as_it_is(name, dtype)
    return state


DEQUANTIZERS: dict[str, Dequantize] = {
    "gptq": gptq_state,
    "awq": awq_state,
    "compressed-tensors": compressed_state,
}
