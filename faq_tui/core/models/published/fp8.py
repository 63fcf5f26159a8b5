"""Read FP8 weights with block scales, the format of DeepSeek-V3 and DeepSeek-R1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faq_tui.core.models.published.base import Packed, PublishedFormat, StoredTensor, pairs, real_scales

CODES, SCALE = "F8_E4M3", "_scale_inv"
INPUT_SCALES = ("activation_scale", "input_scale")
# DeepSeek stores scales as F32, and Qwen3 as BF16. Powers of two are stored as F8_E8M0 or as bytes (U8).
SCALE_TYPES = {"F32", "BF16", "F16", "F8_E8M0", "U8"}


class Fp8Blocks(PublishedFormat):
    """FP8 codes (E4M3) with one scale for each block of `weight_block_size`, or for the whole matrix.

    The tensor X has the scales X_scale_inv. In spite of the name X_scale_inv, the codes are multiplied by the scales:
    w = code * scale (`weight_dequant` in inference/kernel.py of DeepSeek-V3). The blocks at the right and lower edge
    of a matrix may be smaller. A tensor with more than two axes is a stack of matrices.
    """

    quant_method = "fp8"
    title = "FP8 with block scales"

    def packed(self, stored: Mapping[str, StoredTensor], quantization: Mapping[str, Any]) -> dict[str, Packed]:
        if quantization.get("fmt", "e4m3") not in ("e4m3", None):
            raise ValueError(f"fmt {quantization['fmt']!r} in quantization_config is not e4m3")
        block = block_size(quantization)
        found = {}
        for name, (codes, scales) in pairs(stored, "", SCALE).items():
            shape, blocks = stored[codes].shape, stored[scales].shape
            if stored[codes].dtype != CODES:
                raise ValueError(f"{name} has scales, but its codes have the type {stored[codes].dtype}, not {CODES}")
            if stored[scales].dtype not in SCALE_TYPES:
                raise ValueError(f"{scales} has the type {stored[scales].dtype}, which is not a type for scales")
            if len(shape) < 2 or not _fits(shape, blocks, block):
                what = "one scale for each matrix" if block is None else f"blocks of {block[0]} x {block[1]}"
                raise ValueError(f"{scales} has the shape {list(blocks)}, which does not fit {what} of {list(shape)}")
            found[name] = Packed(codes, scales, shape)
        known = {*found, *(one.scales for one in found.values())}
        lost = next((name for name, one in stored.items() if one.dtype.startswith("F8_") and name not in known), None)
        if lost is not None:
            raise ValueError(f"{lost} has FP8 codes, but no scales {lost}{SCALE}")
        return found

    def unused(self, stored: Mapping[str, StoredTensor], packed: Mapping[str, Packed]) -> set[str]:
        """The static scales of the inputs of quantized modules."""
        modules = {name.rpartition(".")[0] for name in packed}
        return {name for name in stored if name.endswith(INPUT_SCALES) and name.rpartition(".")[0] in modules}

    def dense(self, codes: Any, scales: Any, quantization: Mapping[str, Any], dtype: Any) -> Any:
        import torch

        scales, block = real_scales(scales), block_size(quantization)
        if block is None:
            return (codes.to(torch.float32) * scales.reshape(*scales.shape[:-2], 1, 1)).to(dtype)
        rows, columns = block
        wide = scales.repeat_interleave(columns, -1)[..., : codes.shape[-1]]
        dense = torch.empty(codes.shape, dtype=dtype)
        for row in range(scales.shape[-2]):  # decoding one row of blocks at a time saves memory
            part = slice(row * rows, (row + 1) * rows)
            dense[..., part, :] = (codes[..., part, :].to(torch.float32) * wide[..., row, None, :]).to(dtype)
        return dense


def block_size(quantization: Mapping[str, Any]) -> tuple[int, int] | None:
    """(rows, columns) of a block; None if each matrix has one scale. Raises ValueError if the size is invalid."""
    size = quantization.get("weight_block_size")
    if size is None:
        return None
    if isinstance(size, list) and len(size) == 2 and all(type(one) is int and one > 0 for one in size):
        return size[0], size[1]
    raise ValueError(f"weight_block_size {str(size)[:40]} in quantization_config is not a pair of sizes")


def _fits(shape: tuple[int, ...], blocks: tuple[int, ...], block: tuple[int, int] | None) -> bool:
    """True if scales of the shape `blocks` belong to codes of `shape`."""
    if block is None:
        return blocks in ((), (1,), (1, 1), (*shape[:-2], 1, 1))
    return blocks == (*shape[:-2], -(-shape[-2] // block[0]), -(-shape[-1] // block[1]))
