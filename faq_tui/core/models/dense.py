"""Any artefact as a plain dense model, so that all of them, and the unquantized one, run the same kernels.

Quantized kernels differ in the fourth digit: enough to fake or hide a difference of artefacts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.dequantize import DEQUANTIZERS
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.model_code import without_code


def load_dense(folder: Path, dtype: Any, device: str, trust_remote_code: bool = False) -> Any:
    """A Hugging Face causal LM in eval mode, every parameter of `dtype` (a torch dtype) on `device`.

    Packed weights are multiplied out in float32 and rounded to `dtype` once; where activations are quantized
    too, the inputs of those modules are rounded as they come. The state dict is dense before
    transformers sees it, so that weights (fused experts, tied heads) lie as in the unquantized model.
    No code of the folder runs unless `trust_remote_code`.
    Raises FaqError on a quantization that it does not know, or weights that are not there.
    """
    with without_code(folder, trust_remote_code) as place:
        model, report = _load(place, dtype, trust_remote_code)
    if report["missing_keys"]:  # transformers would fill them with random numbers, and warn
        raise FaqError(f"{folder} lacks the weights {', '.join(sorted(report['missing_keys'])[:3])}: make it again")
    return model.to(device).eval()


def _load(folder: Path, dtype: Any, trust_remote_code: bool) -> tuple[Any, dict[str, Any]]:
    """The model, and what transformers reports about its weights."""
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
        if quantization["quant_method"] == "compressed-tensors":
            simulate_int8_activations(model, quantization)
    return model, report


LARGEST = 127


def rounded_per_token(inputs: Any) -> Any:
    """[..., features]: each token to 255 levels, symmetric about zero, scale max|x| / 127 in float32.

    As vLLM's kernel `dynamic_scaled_int8_quant` does (csrc/quantization/w8a8/int8/scaled_quant.cu): codes are
    x · (127 / max|x|), ties to the even one. compressed-tensors' own forward pass takes max|x| / 127.5 and 256 levels
    instead, so plain transformers differs a little. vLLM multiplies by the scale after the product of the codes;
    here that comes before it, and is rounded to the dtype of `inputs`: one rounding more in bfloat16.
    """
    import torch

    wide = inputs.float()
    most = wide.abs().amax(-1, keepdim=True)
    inverse = torch.where(most == 0, 0.0, LARGEST / most)
    return ((wide * inverse).round_().clamp_(-LARGEST, LARGEST) * (most / LARGEST)).to(inputs.dtype)


def simulate_int8_activations(model: Any, quantization: Mapping[str, Any]) -> None:
    """Round the inputs of every Linear that `quantization` (compressed-tensors) does not ignore.

    Fused experts are put apart first. Raises FaqError on a scheme other than dynamic symmetric INT8 a token.
    """
    import torch

    groups = list(quantization.get("config_groups", {}).values())
    wanted = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    for group in groups:
        scheme = group.get("input_activations")
        if scheme is None or any(scheme.get(key) != value for key, value in wanted.items()):
            raise FaqError(
                "this folder's activations are quantized in a way unknown to faq-tui: it cannot evaluate it"
            )
    ignored = set(quantization.get("ignore", ()))

    def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (rounded_per_token(args[0]), *args[1:])

    unfuse_experts(model)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name not in ignored:
            module.register_forward_pre_hook(hook)
