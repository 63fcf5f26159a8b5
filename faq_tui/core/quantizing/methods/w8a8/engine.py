"""W8A8 through the whole model, written in the compressed-tensors format."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.headers import linear_shapes
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.manifest import EngineResult
from faq_tui.core.quantizing.methods.w8a8.matrix import quantize_stack
from faq_tui.core.quantizing.methods.w8a8.method import W8a8Recipe
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import SolvedMatrix
from faq_tui.core.quantizing.sequential.engine import quantize_layers
from faq_tui.core.quantizing.sequential.hessian import Factor

SCALE_BITS = 16
ACTIVATIONS = "INT8, symmetric, one scale a token, found when it comes; calibration saw them unrounded"


def quantize(
    job: QuantizationJob, target: Path, rows: list[list[int]], progress: QuantizationProgress, cancel: CancelToken
) -> EngineResult:
    """Write the model into `job.out`: `Method.quantize` of W8A8."""
    recipe = job.recipe
    assert isinstance(recipe, W8a8Recipe)
    shapes: dict[str, tuple[int, int]] = {}

    def solve(
        names: list[list[str]], weights: list[Any], factor: Factor, check: Callable[[], None]
    ) -> dict[str, SolvedMatrix]:
        solved = {}
        for position, made in enumerate(quantize_stack(weights, factor, check)):
            dense = (made.codes.float() * made.scale.float()).to(weights[position].dtype)
            losses = made.loss.tolist()
            for index, sharing in enumerate(names):
                name = sharing[position]
                shapes[name] = tuple(dense.shape[1:])
                tensors = {f"{name}.weight": made.codes[index].cpu(), f"{name}.weight_scale": made.scale[index].cpu()}
                solved[name] = SolvedMatrix(dense[index], losses[index], tensors)
        return solved

    def stored(layer: int, solved: dict[str, SolvedMatrix]) -> dict[str, Any]:
        del layer
        return {key: tensor for module in solved.values() for key, tensor in module.tensors.items()}

    quantize_layers(job, recipe.damp_percent, target, rows, progress, cancel, solve, stored)
    path = job.out / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    # Servers give routers a linear layer too, and would quantize it.
    ignored = [*sorted(set(linear_shapes(target)) - set(shapes)), "lm_head"]
    config["quantization_config"] = quantization_config(ignored)
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    weights = sum(out * columns for out, columns in shapes.values())
    scales = sum(out * SCALE_BITS for out, _ in shapes.values())
    return EngineResult(recipe.bits + scales / weights, {"activations": ACTIVATIONS})


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
