"""Any artefact as a plain dense model, so that all of them, and the unquantized one, run the same kernels.

Quantized kernels differ in the fourth digit: enough to fake or hide a difference of artefacts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.errors import FaqError
from faq_tui.core.models.headers import tensors_of

Dequantize = Callable[[Path, dict[str, Any], Any], dict[str, Any]]  # (folder, quantization_config, dtype) -> state


def load_dense(folder: Path, dtype: Any, device: str, trust_remote_code: bool = False) -> Any:
    """A Hugging Face causal LM in eval mode, every parameter of `dtype` (a torch dtype) on `device`.

    Packed weights are multiplied out in float32 and rounded to `dtype` once. The state dict is dense before
    transformers sees it, so that weights (fused experts, tied heads) lie as in the unquantized model.
    Raises FaqError on a quantization that it does not know, or weights that are not there.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    quantization = getattr(config, "quantization_config", None)
    options = {"dtype": dtype, "output_loading_info": True}
    if quantization is None:
        model, report = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=trust_remote_code, **options)
    else:
        dequantize = DEQUANTIZERS.get(quantization.get("quant_method"))
        if dequantize is None:
            raise FaqError(f"{folder} is quantized as {quantization.get('quant_method')!r}: no way to read that")
        del config.quantization_config
        with torch.device("meta"):
            shell = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
        state = dequantize(folder, quantization, dtype)
        model, report = type(shell).from_pretrained(None, config=config, state_dict=state, **options)
    if report["missing_keys"]:  # transformers would fill them with random numbers, and warn
        raise FaqError(f"{folder} lacks the weights {', '.join(sorted(report['missing_keys'])[:3])}: make it again")
    return model.to(device).eval()


def gptq_state(folder: Path, quantization: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """The dense state dict of a GPTQ folder: `name.weight` (out_features, in_features) for a packed `name`.

    w = scales[g_idx] * (q - zeros[g_idx]), with gptqmodel's own unpacking. Its `convert_gptq_file`
    does the same for one file, but fails on a module whose tensors lie in two.
    """
    import torch
    from safetensors import safe_open

    from faq_tui.core.models.gptqmodel_env import import_gptqmodel

    import_gptqmodel()
    from gptqmodel.utils.model_dequant import (
        _correct_gptq_v1_qzeros,
        _uses_gptq_v1_qzeros,
        unpack_cols,
        unpack_rows,
    )

    bits = quantization["bits"]
    files = {name: path for name, (path, _, _) in tensors_of(folder).items()}
    readers: dict[Path, Any] = {path: safe_open(path, framework="pt") for path in set(files.values())}

    def read(name: str) -> Any:
        return readers[files[name]].get_tensor(name)

    state: dict[str, Any] = {}
    for name in files:
        module, _, part = name.rpartition(".")
        if part == "qweight":
            qzeros = read(f"{module}.qzeros")
            if _uses_gptq_v1_qzeros(quantization):
                qzeros = _correct_gptq_v1_qzeros(qzeros, bits)
            groups = read(f"{module}.g_idx").long()
            codes = unpack_rows(read(name), bits).to(torch.float32)
            zeros = unpack_cols(qzeros, bits).to(torch.float32)[groups]
            scales = read(f"{module}.scales").to(torch.float32)[groups]
            state[f"{module}.weight"] = ((codes - zeros) * scales).to(dtype).t().contiguous()
        elif part not in ("qzeros", "scales", "g_idx"):
            tensor = read(name)
            state[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return state


DEQUANTIZERS: dict[str, Dequantize] = {"gptq": gptq_state}
