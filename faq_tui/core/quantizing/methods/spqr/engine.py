"""SpQR through the whole model: dense weights that every engine loads, and the codes beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.manifest import EngineResult
from faq_tui.core.quantizing.methods.spqr.matrix import Knobs, quantize_stack
from faq_tui.core.quantizing.methods.spqr.method import SpqrRecipe
from faq_tui.core.quantizing.methods.spqr.sidecar import Bits, count_bits, to_tensors
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import SolvedMatrix
from faq_tui.core.quantizing.sequential.engine import quantize_layers
from faq_tui.core.quantizing.sequential.hessian import Factor

SIDECAR = "spqr"  # the folder with the codes
EXPORT = (
    "The safetensors files hold the dequantized weights in the target's own type: this export saves no memory "
    f"and no time. The codes, scales, zeros, outliers and column orders that average_bits counts are in {SIDECAR}/."
)


def knobs_of(recipe: SpqrRecipe) -> Knobs:
    return Knobs(
        recipe.bits, recipe.group_size, recipe.outlier_threshold, recipe.scale_bits or None, recipe.scale_group
    )


def quantize(
    job: QuantizationJob, target: Path, rows: list[list[int]], progress: QuantizationProgress, cancel: CancelToken
) -> EngineResult:
    """Write the model into `job.out`: `Method.quantize` of SpQR."""
    from safetensors.torch import save_file

    recipe = job.recipe
    assert isinstance(recipe, SpqrRecipe)
    knobs, bits = knobs_of(recipe), Bits()

    def solve(
        names: list[list[str]], weights: list[Any], factor: Factor, check: Callable[[], None]
    ) -> dict[str, SolvedMatrix]:
        nonlocal bits
        solved = {}
        for position, made in enumerate(quantize_stack(weights, factor, knobs, check)):
            dense = made.weight.to(weights[position].dtype)
            outliers, losses = made.outliers.flatten(1).sum(1).tolist(), made.loss.tolist()
            for index, sharing in enumerate(names):
                name, weight = sharing[position], dense[index]
                bits = bits + count_bits(weight.shape[0], weight.shape[1], knobs, outliers[index], ordered=True)
                tensors = to_tensors(name, made.one(index), factor.order[index], knobs, weight)
                solved[name] = SolvedMatrix(weight, losses[index], tensors)
        return solved

    def stored(layer: int, solved: dict[str, SolvedMatrix]) -> dict[str, Any]:
        codes = {key: tensor for module in solved.values() for key, tensor in module.tensors.items()}
        side = job.out / SIDECAR
        side.mkdir(exist_ok=True)
        save_file(codes, side / f"layer-{layer:05}.safetensors")
        return {f"{name}.weight": module.weight for name, module in solved.items()}

    quantize_layers(job, recipe.damp_percent, target, rows, progress, cancel, solve, stored)
    share = bits.outliers / 32 / bits.weights
    return EngineResult(bits.average, {"bits": asdict(bits), "outlier_share": round(share, 6), "export": EXPORT})
