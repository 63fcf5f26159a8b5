"""Store an SpQR matrix as named tensors, decode it, and count its bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.models.headers import tensors_of
from faq_tui.core.quantizing.methods.spqr.grid import Level
from faq_tui.core.quantizing.methods.spqr.matrix import Knobs, Quantized, decoded

VALUE_BITS = INDEX_BITS = 16  # bits for the value of an outlier, and bits for its column number


@dataclass(frozen=True)
class Bits:
    """Counts the bits of each part of one matrix, or of several matrices together."""

    weights: int = 0
    codes: int = 0
    scales: int = 0  # bits of scales and zeros, at both levels
    outliers: int = 0  # number of outliers; each has a 16-bit value and a 16-bit column number
    row_pointers: int = 0
    permutation: int = 0

    def __add__(self, other: Bits) -> Bits:
        return Bits(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def average(self) -> float:
        """The number of bits of all parts, divided by the number of quantized weights."""
        stored = self.codes + self.scales + self.outliers + self.row_pointers + self.permutation
        return stored / self.weights


def count_bits(out: int, columns: int, knobs: Knobs, outliers: int, ordered: bool) -> Bits:
    """Count the bits of one matrix: about b + (qs + qz) / g + 64 / (g · qqg) + 32 ρ per weight (SpQR, section 4.3).

    The count is exact, even if the last group or the last run is shorter than the others. The count includes the
    outliers' row pointers and the column order.
    """
    groups = 1 if knobs.group_size == -1 else -(-columns // knobs.group_size)
    if knobs.scale_bits is None:
        scales = groups * out * 32
    else:
        scales = groups * (out * 2 * knobs.scale_bits + -(-out // knobs.scale_group) * 64)
    return Bits(
        weights=out * columns,
        codes=out * columns * knobs.bits,
        scales=scales,
        outliers=outliers * (VALUE_BITS + INDEX_BITS),
        row_pointers=32 * (out + 1) if outliers else 0,
        permutation=columns * INDEX_BITS if ordered else 0,
    )


def count_folder(folder: Path, knobs: Knobs) -> Bits:
    """Count the bits of all matrices whose codes are in the files of `folder`. Only the headers are read."""
    bits = Bits()
    shapes = {name: shape for name, (_, shape, _) in tensors_of(folder).items()}
    for name in shapes:
        module, _, part = name.rpartition(".")
        if part == "order":
            out, outliers = shapes[f"{module}.crow"][0] - 1, shapes[f"{module}.values"][0]
            bits = bits + count_bits(out, shapes[name][0], knobs, outliers, ordered=True)
    return bits


def to_tensors(name: str, quantized: Quantized, order: Any, knobs: Knobs, weight: Any) -> dict[str, Any]:
    """Make the named tensors of one matrix, on the CPU. Columns are in solving order.

    `weight` is the exported matrix. The stored outliers have the dtype of `weight`. `codes` are packed row by row.
    `scale` and `zero` are float16 [groups, out]. If scales and zeros are quantized at the second level, `scale` and
    `zero` hold packed 3-bit codes instead. With a second level, there are four further tensors [groups, runs]:
    `scale_step`, `scale_least`, `zero_step` and `zero_least`. `crow`, `col` and `values` are a CSR matrix of the
    outliers. The columns of the CSR matrix are in solving order. `order` maps each position in solving order to its
    column.
    """
    import torch

    outliers = quantized.outliers.t()
    rows, positions = outliers.nonzero(as_tuple=True)
    ends = outliers.sum(1).cumsum(0)
    tensors = {
        "codes": pack(quantized.codes.t().contiguous(), knobs.bits),
        "crow": torch.cat([ends.new_zeros(1), ends]).to(torch.int32),
        "col": positions.to(torch.int32),
        "values": weight[rows, order[positions]],
        "order": order.to(torch.int32),
    }
    for index, part in enumerate(("scale", "zero")):
        levels = [level[index] for level in quantized.levels]
        if knobs.scale_bits is None:
            tensors[part] = torch.stack(levels)
        else:
            tensors[f"{part}_codes"] = pack(torch.stack([level.codes for level in levels]), knobs.scale_bits)
            tensors[f"{part}_step"] = torch.stack([level.step for level in levels])
            tensors[f"{part}_least"] = torch.stack([level.least for level in levels])
    return {f"{name}.{part}": tensor.contiguous().cpu() for part, tensor in tensors.items()}


def from_tensors(name: str, tensors: dict[str, Any], knobs: Knobs, dtype: Any) -> Any:
    """Decode the dense matrix [out, in] of `dtype`. The decoded matrix equals the exported matrix bit for bit."""
    import torch

    part = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
    out, columns = len(part["crow"]) - 1, len(part["order"])
    codes = unpack(part["codes"], knobs.bits, out * columns).reshape(out, columns).t()
    group = columns if knobs.group_size == -1 else knobs.group_size
    dense = torch.empty((columns, out))
    for number, start in enumerate(range(0, columns, group)):
        scale, zero = (_level(part, which, number, knobs, out) for which in ("scale", "zero"))
        dense[start : start + group] = decoded(scale, zero, knobs.bits, out).values(codes[start : start + group])
    rows = torch.repeat_interleave(torch.arange(out), part["crow"].diff().long())
    exported = dense.to(dtype)
    exported[part["col"].long(), rows] = part["values"]
    result = torch.empty_like(exported)
    result[part["order"].long()] = exported
    return result.t().contiguous()


def _level(part: dict[str, Any], which: str, number: int, knobs: Knobs, out: int) -> Any:
    if knobs.scale_bits is None:
        return part[which][number]
    runs = -(-out // knobs.scale_group)
    groups = len(part[f"{which}_step"])
    codes = unpack(part[f"{which}_codes"], knobs.scale_bits, groups * runs * knobs.scale_group)
    codes = codes.reshape(groups, runs, knobs.scale_group)[number]
    return Level(codes, part[f"{which}_step"][number], part[f"{which}_least"][number])


def pack(codes: Any, bits: int) -> Any:
    """Pack uint8 codes below 2^bits into uint8 [ceil(count * bits / 8)].

    The codes keep their order. The lowest bit of each code comes first.
    """
    import numpy as np
    import torch

    if 8 % bits == 0:  # no code crosses the border of a byte, so the codes can be packed on the device where they are
        each = 8 // bits
        flat = torch.nn.functional.pad(codes.reshape(-1), (0, -codes.numel() % each)).reshape(-1, each)
        packed = torch.zeros_like(flat[:, 0])
        for offset in range(each):
            packed |= flat[:, offset] << (bits * offset)
        return packed.cpu()
    flat = codes.reshape(-1).cpu().numpy()
    wide = np.unpackbits(flat[:, None], axis=1, count=bits, bitorder="little")
    return torch.from_numpy(np.packbits(wide.reshape(-1), bitorder="little"))


def unpack(packed: Any, bits: int, count: int) -> Any:
    """Undo `pack`. Returns `count` codes as a flat tensor."""
    import numpy as np
    import torch

    wide = np.unpackbits(packed.numpy(), count=count * bits, bitorder="little").reshape(count, bits)
    return torch.from_numpy(np.packbits(wide, axis=1, bitorder="little").reshape(-1))
