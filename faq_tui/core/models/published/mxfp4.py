"""Read MXFP4 weights, the form in which the experts of gpt-oss are published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faq_tui.core.models.published.base import Packed, PublishedFormat, StoredTensor, pairs, real_scales

BYTES = 16  # bytes of a block: 32 values of 4 bits

# The values of the E2M1 codes 0 to 15, in table 5 of the OCP Microscaling Formats (MX) Specification 1.0. The highest
# bit is the sign.
VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


class Mxfp4(PublishedFormat):
    """E2M1 codes with one E8M0 scale for each block of 32 values.

    The codes X_blocks have the shape [experts, out, blocks, 16], and the scales X_scales the shape [experts, out,
    blocks]. The lower four bits of a byte hold the first of its two values. The dense tensor X has the shape
    [experts, in, out], as in the class GptOssExperts of transformers.
    """

    quant_method = "mxfp4"
    title = "MXFP4"
    packed_refusal = "no server reads packed weights of experts that are published in MXFP4"

    def packed(self, stored: Mapping[str, StoredTensor], quantization: Mapping[str, Any]) -> dict[str, Packed]:
        del quantization
        found = {}
        for name, (codes, scales) in pairs(stored, "_blocks", "_scales").items():
            shape = stored[codes].shape
            types = {stored[codes].dtype, stored[scales].dtype}
            if len(shape) != 4 or shape[-1] != BYTES or stored[scales].shape != shape[:-1] or types != {"U8"}:
                raise ValueError(
                    f"{codes} and {scales} have the shapes {list(shape)} and {list(stored[scales].shape)}, "
                    "which are not shapes of MXFP4"
                )
            found[name] = Packed(codes, scales, (shape[0], shape[2] * 2 * BYTES, shape[1]))
        known = {one.codes for one in found.values()}
        lost = next((name for name in stored if name.endswith("_blocks") and name not in known), None)
        if lost is not None:
            raise ValueError(f"{lost} has codes, but no scales")
        return found

    def dense(self, codes: Any, scales: Any, quantization: Mapping[str, Any], dtype: Any) -> Any:
        """A product of an E2M1 value and a power of two is exact in float32 and bfloat16 unless out of range."""
        import torch

        del quantization
        experts, out, blocks, _ = codes.shape
        numbers, values, scales = torch.arange(256), torch.tensor(VALUES), real_scales(scales)
        by_byte = torch.stack([values[numbers & 15], values[numbers >> 4]], -1)  # the two values of each byte
        dense = torch.empty(experts, blocks * 2 * BYTES, out, dtype=dtype)
        for expert in range(experts):  # decoding one expert at a time saves memory
            wide = by_byte.index_select(0, codes[expert].flatten().int()).view(out, blocks, 2 * BYTES)
            dense[expert] = wide.mul_(scales[expert, :, :, None]).to(dtype).view(out, -1).t()
        return dense
