"""Codes as bits without gaps."""

from __future__ import annotations

from typing import Any


def pack(codes: Any, bits: int) -> Any:
    """uint8 codes below 2^bits -> uint8 [ceil(count * bits / 8)], lowest bit first, in order of the codes."""
    import numpy as np
    import torch

    if 8 % bits == 0:  # whole codes to a byte: on the device where they are
        each = 8 // bits
        flat = torch.nn.functional.pad(codes.reshape(-1), (0, -codes.numel() % each)).reshape(-1, each)
        packed = torch.zeros_like(flat[:, 0])
        for place in range(each):
            packed |= flat[:, place] << (bits * place)
        return packed.cpu()
    flat = codes.reshape(-1).cpu().numpy()
    wide = np.unpackbits(flat[:, None], axis=1, count=bits, bitorder="little")
    return torch.from_numpy(np.packbits(wide.reshape(-1), bitorder="little"))


def unpack(packed: Any, bits: int, count: int) -> Any:
    """The `count` codes that `pack` was given, flat."""
    import numpy as np
    import torch

    wide = np.unpackbits(packed.numpy(), count=count * bits, bitorder="little").reshape(count, bits)
    return torch.from_numpy(np.packbits(wide, axis=1, bitorder="little").reshape(-1))
