"""What compressed-tensors calls it, so that vLLM, SGLang and transformers know what the tensors mean."""

from __future__ import annotations

import importlib
from typing import Any

FORMAT = "int-quantized"


def quantization_config(ignored: list[str]) -> dict[str, Any]:
    """The `quantization_config` of config.json, checked and completed by the library itself.

    `ignored`: Linears that keep their own weights.
    """
    library = importlib.import_module("compressed_tensors.quantization")
    channel = library.QuantizationArgs(num_bits=8, type="int", symmetric=True, strategy="channel", dynamic=False)
    token = library.QuantizationArgs(num_bits=8, type="int", symmetric=True, strategy="token", dynamic=True)
    config = library.QuantizationConfig(
        config_groups={
            "group_0": library.QuantizationScheme(
                targets=["Linear"], weights=channel, input_activations=token, format=FORMAT
            )
        },
        quant_method="compressed-tensors",
        format=FORMAT,
        quantization_status=library.QuantizationStatus.COMPRESSED,
        ignore=ignored,
    )
    body: dict[str, Any] = config.model_dump(mode="json")
    return body
