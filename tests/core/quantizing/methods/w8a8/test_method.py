"""The library reads the written configuration as W8A8."""

from __future__ import annotations

import importlib
from typing import Any

from faq_tui.core.quantizing.methods.w8a8.method import quantization_config


def test_the_config_is_read_by_the_library_as_w8a8() -> None:
    library: Any = importlib.import_module("compressed_tensors.quantization")
    body = quantization_config(["lm_head", "model.layers.0.mlp.gate"])
    read = library.QuantizationConfig.model_validate(body)
    group = read.config_groups["group_0"]
    assert (read.format, read.quantization_status.value) == ("int-quantized", "compressed")
    assert (group.weights.num_bits, group.weights.strategy, group.weights.symmetric) == (8, "channel", True)
    assert (group.input_activations.strategy, group.input_activations.dynamic) == ("token", True)
    assert read.ignore == ["lm_head", "model.layers.0.mlp.gate"]
