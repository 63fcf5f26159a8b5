"""The storage format of GPTQ: codes packed into 32-bit words, with scales and zero points for each group."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from faq_tui.core.models.dense import Config, DecodedFormat, FolderTensors, Kernels, incomplete, lacking
from faq_tui.core.models.dense_tensors import DecodedTensors, DenseTensors

if TYPE_CHECKING:
    from faq_tui.core.quantizing.methods.gptq.matrix import Packable

WORD = 32  # bits
PARTS = ("qweight", "qzeros", "scales", "g_idx")


class GptqFormat(DecodedFormat):
    """Packed codes, with a scale and a zero point for each group.

    vLLM and SGLang read these codes with the classes GPTQConfig and GPTQMarlinConfig.

    The tensors of a module with the weight [out, in] are `qweight` int32 [in · bits / 32, out], `qzeros` int32
    [groups, out · bits / 32], `scales` float16 [groups, out], and `g_idx` int32 [in]. `g_idx` holds the number of
    each column's group. The first code of a word is in its lowest bits.

    The checkpoint format `gptq` stores (zero point - 1). The format `gptq_v2` stores the zero point itself.
    """

    quant_method = "gptq"
    kernels: ClassVar[Kernels] = {
        "bits": (4, 8),
        "group_size": (-1, 32, 64, 128),
        "sym": (True,),
        "desc_act": (False,),
    }

    def tensors(self, folder: Path, quantization: Config, dtype: Any) -> DenseTensors:
        """The tensors of the dense model. `dense_of` computes the weights."""
        del dtype
        stored = FolderTensors(folder)

        def decode(module: str) -> Any:
            return dense_of({part: stored.read(f"{module}.{part}") for part in PARTS}, quantization)

        modules = [name.removesuffix(".qweight") for name in stored.files if name.endswith(".qweight")]
        plain = [name for name in stored.files if name.rpartition(".")[2] not in PARTS]
        return DecodedTensors(stored, plain, {f"{module}.weight": partial(decode, module) for module in modules})

    def problems(self, quantization: Config, tensors: set[str]) -> list[str]:
        sentences = lacking(quantization, ("bits", "group_size", "desc_act", "sym"))
        if quantization.get("checkpoint_format", "gptq") not in ("gptq", "gptq_v2"):
            sentences.append(f"quantization_config has checkpoint_format {quantization['checkpoint_format']!r}")
        return sentences + incomplete(tensors, PARTS)


GPTQ_FORMAT = GptqFormat()


def pack(values: Any, bits: int) -> Any:
    """Pack whole numbers below 2^bits, [..., count], into int32 words [..., count · bits / 32].

    The first number gets the lowest bits of a word.
    """
    import torch

    each = WORD // bits
    shifts = torch.arange(each, device=values.device) * bits
    words = (values.unflatten(-1, (-1, each)).long() << shifts).sum(-1)
    return words.to(torch.int32)  # keeps the lowest 32 bits


def unpack(words: Any, bits: int) -> Any:
    """Unpack int32 words [..., words] into whole numbers, uint8 [..., words · 32 / bits]. This undoes `pack`.

    `bits` is 2, 4 or 8. The function works on bytes, of which the lowest comes first in memory.
    """
    import torch

    numbers = words.contiguous().view(torch.uint8)
    parts = [(numbers >> shift) & (2**bits - 1) for shift in range(0, 8, bits)]
    return torch.stack(parts, -1).flatten(-2)


def dense_of(parts: dict[str, Any], quantization: Config) -> Any:
    """The weight [out, in] in float32 from the tensors in PARTS: w = scales[g_idx] · (q - zeros[g_idx])."""
    bits = quantization["bits"]
    shift = 0 if quantization.get("checkpoint_format", "gptq") == "gptq_v2" else 1
    zeros = (unpack(parts["qzeros"], bits) + shift) & (2**bits - 1)
    return scaled(unpack(parts["qweight"].t(), bits), parts["scales"], zeros, parts["g_idx"].long())


def scaled(codes: Any, scales: Any, zeros: Any, groups: Any) -> Any:
    """The weight [out, in] in float32: w = scales · (codes - zeros), with the scale and the zero of a column's group.

    `codes` is uint8 [out, in]. `scales` and `zeros` are [groups, out]. `groups` has the number of a column's group.
    """
    import torch

    weight, count = codes.float(), len(scales)
    scales, zeros = scales.float().t(), zeros.float().t()
    size = max(1, weight.shape[1] // count)
    if torch.equal(groups, torch.arange(count * size, device=groups.device) // size):  # the columns are in order
        weight.unflatten(1, (count, size)).sub_(zeros[..., None]).mul_(scales[..., None])
        return weight
    return weight.sub_(zeros[:, groups]).mul_(scales[:, groups])


def packed_tensors(name: str, matrix: Packable, bits: int, v2: bool) -> dict[str, Any]:
    """The named tensors of one matrix, on the CPU. If `v2` is true, zero points are stored as in `gptq_v2`."""
    import torch

    zeros = matrix.zeros.int() - (0 if v2 else 1)
    return {
        f"{name}.qweight": pack(matrix.codes, bits).t().contiguous().cpu(),
        f"{name}.qzeros": pack(zeros % 2**bits, bits).cpu(),
        f"{name}.scales": matrix.scales.contiguous().cpu(),
        f"{name}.g_idx": matrix.groups.to(torch.int32).cpu(),
    }


def quantization_config(
    bits: int, group_size: int, sym: bool, desc_act: bool, meta: dict[str, Any]
) -> dict[str, Any]:
    """The `quantization_config` of config.json.

    An asymmetric grid is stored as `gptq_v2`, because some loaders of `gptq` cannot read the zero point 0.
    """
    return {
        "quant_method": "gptq",
        "bits": bits,
        "group_size": group_size,
        "sym": sym,
        "desc_act": desc_act,
        "checkpoint_format": "gptq" if sym else "gptq_v2",
        "pack_dtype": "int32",
        "lm_head": False,
        "meta": meta,
    }
