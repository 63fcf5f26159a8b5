"""Read the format compressed-tensors with INT8 weights and INT8 activations.

Weights have one scale per channel, and activations have one scale per token.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.dense import Config, DecodedFormat, FolderTensors, lacking
from faq_tui.core.models.dense_tensors import DecodedTensors, DenseTensors
from faq_tui.core.models.experts import unfuse_experts

LARGEST = 127  # the code -128 is not used, so the range is symmetric about zero
ACTIVATIONS = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}


class Int8Format(DecodedFormat):
    """The format that vLLM reads with its class CompressedTensorsW8A8Int8.

    In this format, the config groups have the target `Linear`, and each quantized weight has a scale.
    """

    quant_method = "compressed-tensors"

    def tensors(self, folder: Path, quantization: Config, dtype: Any) -> DenseTensors:
        """Compute w = scale * q for each channel."""
        import torch

        del quantization, dtype
        stored = FolderTensors(folder)

        def decode(name: str) -> Any:
            return stored.read(name).to(torch.float32) * stored.read(f"{name}_scale").to(torch.float32)

        scaled = [name for name in stored.files if f"{name}_scale" in stored.files]
        plain = [n for n in stored.files if n not in set(scaled) and not n.endswith(".weight_scale")]
        return DecodedTensors(stored, plain, {name: partial(decode, name) for name in scaled})

    def prepare(self, model: Any, quantization: Config) -> None:
        simulate_int8_activations(model, quantization)

    def problems(self, quantization: Config, tensors: set[str]) -> list[str]:
        sentences = lacking(quantization, ("format", "config_groups", "ignore"))
        scaled = {name.removesuffix("_scale") for name in tensors if name.endswith(".weight_scale")}
        lost = sorted(scaled - tensors)
        if not scaled or lost:
            sentences.append(f"the scale of {lost[0]} has no weight" if lost else "no weight has a scale")
        return sentences


def rounded_per_token(inputs: Any) -> Any:
    """Round each token of `inputs` [..., features] to 255 levels that are symmetric about zero.

    The scale is max|x| / 127 in float32.

    The codes are x · (127 / max|x|), rounded half to even. The CUDA kernel `dynamic_scaled_int8_quant` of vLLM
    computes the same codes (csrc/quantization/w8a8/int8/scaled_quant.cu). The forward pass of the library
    compressed-tensors uses the scale max|x| / 127.5 and 256 levels instead, so its results in transformers differ a
    little.

    vLLM multiplies by the scale after the product of the codes. This function multiplies by the scale before the
    product, and rounds to the dtype of `inputs`. In bfloat16, this function rounds one more time than vLLM.
    """
    import torch

    wide = inputs.float()
    most = wide.abs().amax(-1, keepdim=True)
    inverse = torch.where(most == 0, 0.0, LARGEST / most)
    return ((wide * inverse).round_().clamp_(-LARGEST, LARGEST) * (most / LARGEST)).to(inputs.dtype)


def simulate_int8_activations(model: Any, quantization: Mapping[str, Any]) -> None:
    """Round the inputs of every Linear that `quantization` (compressed-tensors) does not ignore.

    Fused experts are first split into Linear modules. Raises FaqError unless the scheme for inputs is symmetric INT8
    with a dynamic scale for each token.
    """
    import torch

    for group in quantization.get("config_groups", {}).values():
        scheme = group.get("input_activations")
        if scheme is None or any(scheme.get(key) != value for key, value in ACTIVATIONS.items()):
            raise FaqError(
                "faq-tui does not know how the folder's activations are quantized, so it cannot evaluate this folder"
            )
    ignored = set(quantization.get("ignore", ()))

    def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (rounded_per_token(args[0]), *args[1:])

    unfuse_experts(model)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name not in ignored:
            module.register_forward_pre_hook(hook)
