"""INT8 activations as a served W8A8 model has them, on weights that are dense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faq_tui.core.errors import FaqError
from faq_tui.core.models.experts import unfuse

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


def simulate(model: Any, quantization: Mapping[str, Any]) -> None:
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

    unfuse(model)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name not in ignored:
            module.register_forward_pre_hook(hook)
