"""The losses of quantized models, with one definition for all engines.

The loss of a module with the weight W [out, in], the quantized weight Ŵ and the inputs X [in, tokens] is

    |(W - Ŵ) X|² / |W X|² = tr((W - Ŵ) H (W - Ŵ)ᵀ) / tr(W H Wᵀ)   with H = X Xᵀ (Frobenius norms)

The inputs are those of the unquantized model, so they are the same for all engines. All engines here minimize the
error for the inputs of the model whose earlier layers are already quantized.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from layer_error import hessians

from faq_tui.core.models.dense import FolderTensors, format_of_folder, quantization_of
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.quantizing.methods.gptq.format import scaled, unpack

ROUNDING = "rounding"
CODES = 4  # bits
BATCH = 4  # rows
KINDS = dict.fromkeys(("q_proj", "k_proj", "v_proj"), "q, k, v") | {"o_proj": "o"}
KINDS |= dict.fromkeys(("gate_proj", "up_proj"), "gate, up") | {"down_proj": "down"}


def losses_of(
    model: Path, rows: Sequence[Sequence[int]], engine: str, artefact: Path, group: int, device: str
) -> dict[str, float]:
    """Maps the name of each quantized Linear in a layer to its loss. All rows have the same length."""
    import torch
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(model, dtype="auto").to(device).eval()
    with torch.inference_mode():
        unfuse_experts(plain)
    weights = {
        name: module.weight.data
        for name, module in plain.named_modules()
        if isinstance(module, torch.nn.Linear) and ".layers." in name
    }
    read = reader_of(engine, artefact, weights, group)
    with torch.inference_mode():
        found = {}
        for name, hessian in hessians(plain, rows, device, BATCH).items():
            quantized = read(name) if hessian.tokens else None  # no token was routed to this expert
            if quantized is not None:
                found[name] = loss(weights[name].float(), quantized.to(device), hessian.mean())
    return found


def loss(weight: Any, quantized: Any, hessian: Any) -> float:
    off = weight - quantized
    return float(((off @ hessian) * off).sum() / ((weight @ hessian) * weight).sum())


def reader_of(engine: str, artefact: Path, weights: dict[str, Any], group: int) -> Callable[[str], Any]:
    """Returns a function from a module's name to its quantized weight [out, in] in float32; None if it is not
    quantized."""
    import torch

    if engine == ROUNDING:
        return lambda name: None if name.endswith("mlp.gate") else rounded(weights[name].float(), group)
    config = quantization_of(artefact) or {}
    if config.get("quant_method") == "compressed-tensors":
        stored = FolderTensors(artefact)
        return lambda name: unpacked(stored, name) if f"{name}.weight_packed" in stored.files else None
    tensors = format_of_folder(artefact).tensors(artefact, config, torch.float32)
    packed = {name.removesuffix(".qweight") for name in FolderTensors(artefact).files if name.endswith(".qweight")}
    return lambda name: tensors.read_as(f"{name}.weight", torch.float32) if name in packed else None


def rounded(weight: Any, group: int) -> Any:
    """`weight` rounded to the nearest code of a symmetric grid. The largest value of a group has the code 7 or -7."""
    import torch

    parts = weight.unflatten(-1, (-1, group))
    top = 2 ** (CODES - 1) - 1
    scale = parts.abs().amax(-1, keepdim=True).clamp_min(1e-10) / top
    return (torch.round(parts / scale).clamp(-top - 1, top) * scale).flatten(-2)


def unpacked(stored: FolderTensors, name: str) -> Any:
    """A weight of 4 bits in the format pack-quantized of compressed-tensors.

    `weight_packed` has eight codes in each word along the columns, lowest bits first. A code is stored plus 8.
    """
    import torch

    codes = unpack(stored.read(f"{name}.weight_packed"), CODES)
    rows, columns = (int(size) for size in stored.read(f"{name}.weight_shape"))
    scales = stored.read(f"{name}.weight_scale").t()
    order = f"{name}.weight_g_idx"
    groups = stored.read(order).long() if order in stored.files else torch.arange(columns) * len(scales) // columns
    return scaled(codes[:rows, :columns], scales, torch.full_like(scales, 2 ** (CODES - 1)), groups)


def kinds_of(losses: dict[str, float]) -> dict[str, tuple[float, int]]:
    """Maps each kind of module to the mean loss and the number of modules. Modules of a kind have the same inputs."""
    kinds: dict[str, list[float]] = defaultdict(list)
    for name, value in losses.items():
        kinds[KINDS[re.sub(r".*\.", "", name)]].append(value)
    return {kind: (fmean(values), len(values)) for kind, values in kinds.items()}
