"""SpQR as a quantization method. The method writes dense weights, which every server can load, and also the codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.dense import DENSE
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.methods.base import Method
from faq_tui.core.quantizing.output import EngineResult
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.settings.recipe import PAPER, Damping, GroupSize, Presets, Recipe
from faq_tui.core.settings.weights import (
    AUTO_SHARE,
    KindWeights,
    SinkShare,
    TokenWeightsKey,
    WeightedRecipe,
    requires_weights,
)

if TYPE_CHECKING:
    from faq_tui.core.quantizing.methods.spqr.matrix import Knobs
    from faq_tui.core.quantizing.sequential.batching import SolvedMatrix
    from faq_tui.core.quantizing.sequential.hessian import Factor

SIDECAR = "spqr"  # the name of the folder that holds the codes
EXPORT = (
    "The safetensors files hold the dequantized weights in the target's own type: this export saves no memory "
    f"and no time. The folder {SIDECAR}/ holds the codes, scales, zeros, outliers and column orders. "
    "average_bits counts them."
)


class SpqrRecipe(WeightedRecipe):
    # The default damping 0.01 is faq-tui's choice. The README of the authors' code uses 1.0, and no weights.
    presets: ClassVar[Presets] = {
        "paper": PAPER,
        "default": {},
        "reference": {"damp_percent": 1.0, "sink_share": "off"},
    }

    method: Literal["spqr"] = "spqr"
    bits: Literal[4, 3, 8] = 4
    group_size: GroupSize = 128
    damp_percent: Damping = 0.01
    outlier_threshold: Annotated[float, Field(gt=0.0, description="a smaller threshold makes more outliers")] = 0.2
    scale_bits: Annotated[
        int, Field(ge=0, le=8, description="bits of each scale and zero point; 0 means 16 bits")
    ] = 3
    scale_group: Annotated[
        int, Field(ge=1, le=4096, description="number of output rows that share one second-level scale")
    ] = 16
    sink_share: SinkShare = "auto"
    token_weights: TokenWeightsKey = KindWeights()

    def auto_share(self) -> float | None:
        return AUTO_SHARE


class Spqr(Method):
    name = "spqr"
    title = "SpQR"
    help = "Rounds like GPTQ, stores the weights with the largest errors in 16 bits, and also quantizes the scales."
    recipe = SpqrRecipe
    format = DENSE
    cost = MethodCost(
        seconds={"forward": 1.3e-14, "hessian": 6e-15, "column": 5.5e-5, "module": 0.0025, "weight": 3.2e-9},
        gpu_bytes={"context": 0.85e9, "gpu_states": 1.0, "square": 2.55, "layer": 6.12, "work": 0.57},
        host_bytes={"context": 3.5e9, "resident": 1.0, "layer": 1.5, "host_states": 1.0},
        passes=3.5,
        walk=True,
    )

    def refusal(self, recipe: Recipe, target: Path, trust_remote_code: bool) -> str:
        from faq_tui.core.quantizing.sequential.walk_check import other_method, walk_refusal

        why = walk_refusal(target, trust_remote_code, packed=False, weighted=requires_weights(recipe))
        return f"{why}; {other_method(target, trust_remote_code, packed=False)}" if why else ""

    def quantize(
        self,
        job: QuantizationJob,
        target: Path,
        rows: list[list[int]],
        progress: QuantizationProgress,
        cancel: CancelToken,
    ) -> EngineResult:
        """This function implements `Method.quantize`.

        The method writes the dense weights into `job.out`, and the codes into its subfolder `spqr`.
        """
        from safetensors.torch import save_file

        from faq_tui.core.quantizing.methods.spqr.matrix import quantize_stack
        from faq_tui.core.quantizing.methods.spqr.sidecar import count_folder, to_tensors
        from faq_tui.core.quantizing.sequential.batching import Ordering, SolvedMatrix, stored_tensors
        from faq_tui.core.quantizing.sequential.engine import WalkMethod, quantize_layers

        recipe = job.recipe
        assert isinstance(recipe, SpqrRecipe)
        knobs = knobs_of(recipe)

        def solve(
            names: list[list[str]], weights: list[Any], factor: Factor, check: Callable[[], None]
        ) -> dict[str, SolvedMatrix]:
            solved = {}
            for position, made in enumerate(quantize_stack(weights, factor, knobs, check)):
                dense = made.weight.to(weights[position].dtype)
                losses = made.loss.tolist()
                for index, sharing in enumerate(names):
                    name, weight = sharing[position], dense[index]
                    tensors = to_tensors(name, made.one(index), factor.order[index], knobs, weight)
                    solved[name] = SolvedMatrix(weight, losses[index], tensors)
            return solved

        def stored(layer: int, solved: dict[str, SolvedMatrix], beside: Path) -> dict[str, Any]:
            side = beside / SIDECAR
            side.mkdir(exist_ok=True)
            save_file(stored_tensors(solved), side / f"layer-{layer:05}.safetensors")
            return {f"{name}.weight": module.weight for name, module in solved.items()}

        def dense_of(module: str, tensors: dict[str, Any]) -> Any:
            del module
            return tensors["weight"]

        method = WalkMethod(solve, stored, dense_of)
        facts = quantize_layers(job, Ordering(recipe.damp_percent), target, rows, progress, cancel, method)
        bits = count_folder(job.out / SIDECAR, knobs)
        share = bits.outliers / 32 / bits.weights
        return EngineResult(
            bits.average, {"bits": asdict(bits), "outlier_share": round(share, 6), "export": EXPORT, **facts}
        )


def knobs_of(recipe: SpqrRecipe) -> Knobs:
    from faq_tui.core.quantizing.methods.spqr.matrix import Knobs

    return Knobs(
        recipe.bits, recipe.group_size, recipe.outlier_threshold, recipe.scale_bits or None, recipe.scale_group
    )


METHOD = Spqr()
