"""Folders in the formats of the quantizers, with random codes: what a reader needs, without a quantization."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from faq_tui.core.models.headers import linear_shapes

GROUP = 16
INT8_INPUTS = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
CONFIGS: dict[str, dict[str, Any]] = {
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "sym": True, "desc_act": False},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm"},
    "w8a8": {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": INT8_INPUTS}},
        "ignore": ["lm_head"],
    },
}


def pack_folder(folder: Path, method: str) -> Path:
    """Replace all matrices in the layers of the dense model in `folder` by random codes in the format of `method`."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    torch.manual_seed(1)
    for module, (out, columns) in linear_shapes(folder).items():
        if module.endswith(".mlp.gate"):  # a router is not quantized
            continue
        del tensors[f"{module}.weight"]
        for part, tensor in _parts(method, out, columns).items():
            tensors[f"{module}.{part}"] = tensor
    save_file(tensors, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    ignore = [module for module in linear_shapes(folder) if module.endswith(".mlp.gate")]
    quantization = dict(CONFIGS[method])
    if "ignore" in quantization:
        quantization["ignore"] = ["lm_head", *ignore]
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantization}))
    return folder


def _parts(method: str, out: int, columns: int) -> dict[str, Any]:
    groups = columns // GROUP
    scales = torch.rand(groups, out).half() * 0.02 + 0.01
    if method == "gptq":
        return {
            "qweight": _words(columns // 8, out),
            "qzeros": torch.full((groups, out // 8), 0x77777777, dtype=torch.int32),
            "scales": scales,
            "g_idx": torch.arange(columns, dtype=torch.int32) // GROUP,
        }
    if method == "awq":
        return {"qweight": _words(columns, out // 8), "qzeros": _words(groups, out // 8), "scales": scales}
    codes = torch.randint(-127, 128, (out, columns), dtype=torch.int8)
    return {"weight": codes, "weight_scale": torch.rand(out, 1) * 0.001 + 0.001}


def _words(rows: int, columns: int) -> Any:
    return torch.randint(-(2**31), 2**31, (rows, columns), dtype=torch.int64).to(torch.int32)
