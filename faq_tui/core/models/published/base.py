"""Define what a published format does: find the tensors that are stored as codes and scales, and compute them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class StoredTensor(NamedTuple):
    """The header of a tensor in a safetensors file. `dtype` is the safetensors name, such as BF16 or F8_E4M3."""

    path: Path
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Packed:
    """The names of the tensors in which a dense tensor is stored, and the dense tensor's shape."""

    codes: str
    scales: str
    shape: tuple[int, ...]


class PublishedFormat:
    """A form in which publishers quantize the weights of their models.

    `quant_method` is its name in `quantization_config`. `title` is its name in sentences. `packed_refusal` says
    why recipes that write packed weights cannot quantize a model in this form; "" means that these recipes can.
    """

    quant_method: str
    title: str
    packed_refusal: str = ""

    def packed(self, stored: Mapping[str, StoredTensor], quantization: Mapping[str, Any]) -> dict[str, Packed]:
        """Maps the name of each dense tensor that is stored as codes and scales to its `Packed` entry.

        Only headers are read. Raises ValueError with a reason if the parts do not fit together.
        """
        raise NotImplementedError

    def unused(self, stored: Mapping[str, StoredTensor], packed: Mapping[str, Packed]) -> set[str]:
        """The names of further tensors that only servers of the published format use."""
        del stored, packed
        return set()

    def dense(self, codes: Any, scales: Any, quantization: Mapping[str, Any], dtype: Any) -> Any:
        """The dense tensor, computed in float32 and rounded once to the torch dtype `dtype`."""
        raise NotImplementedError


def pairs(stored: Mapping[str, StoredTensor], codes: str, scales: str) -> dict[str, tuple[str, str]]:
    """Maps each name X to (X + `codes`, X + `scales`). Raises ValueError if a name has scales, but no codes."""
    found = {}
    for name in stored:
        if name.endswith(scales):
            base = name.removesuffix(scales)
            if f"{base}{codes}" not in stored:
                raise ValueError(f"{name} has no codes")
            found[base] = (f"{base}{codes}", name)
    return found


def real_scales(scales: Any) -> Any:
    """Scales as float32. Bytes (uint8) are E8M0: the byte e means 2^(e - 127), and 255 means NaN.

    E8M0 is defined in section 5.4.1 of the OCP Microscaling Formats (MX) Specification 1.0.
    """
    import torch

    if scales.dtype == torch.uint8:
        scales = scales.view(torch.float8_e8m0fnu)
    return scales.to(torch.float32)
