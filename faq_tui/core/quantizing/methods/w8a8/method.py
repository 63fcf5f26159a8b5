"""W8A8 as a quantization method, written in the compressed-tensors format."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.headers import linear_shapes, tensors_of
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.methods.base import Method
from faq_tui.core.quantizing.methods.w8a8.format import Int8Format
from faq_tui.core.quantizing.output import EngineResult
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.settings.recipe import Damping, Presets, Recipe
from faq_tui.core.settings.weights import KindWeights, SinkShare, TokenWeightsKey, WeightedRecipe, requires_weights

if TYPE_CHECKING:
    from faq_tui.core.quantizing.sequential.batching import SolvedMatrix
    from faq_tui.core.quantizing.sequential.hessian import Factor

SCALE_BITS = 16
ACTIVATIONS = "symmetric INT8 with one scale per token, computed at inference; calibration does not round activations"
FORMAT = "int-quantized"


class W8a8Recipe(WeightedRecipe):
    presets: ClassVar[Presets] = {"paper": {}}

    method: Literal["w8a8"] = "w8a8"
    bits: Literal[8] = 8
    group_size: Literal[-1] = -1
    damp_percent: Damping = 0.01
    sink_share: SinkShare = "off"
    token_weights: TokenWeightsKey = KindWeights()


class W8a8(Method):
    name = "w8a8"
    title = "W8A8"
    help = "Rounds weights to INT8 by GPTQ, with one scale per channel; activations are rounded at inference."
    recipe = W8a8Recipe
    format = Int8Format()
    cost = MethodCost(
        seconds={"forward": 1.3e-14, "hessian": 6e-15, "column": 2.5e-5, "module": 0.0025, "weight": 1.9e-9},
        gpu_bytes={"context": 0.85e9, "gpu_states": 1.0, "square": 2.14, "layer": 4.04, "work": 0.66},
        host_bytes={"context": 2.92e9, "resident": 1.0, "layer": 1.45, "host_states": 1.0},
        passes=3.5,
        walk=True,
    )

    def refusal(self, recipe: Recipe, target: Path, trust_remote_code: bool) -> str:
        from faq_tui.core.quantizing.sequential.walk_check import other_method, walk_refusal

        why = walk_refusal(target, trust_remote_code, packed=True, weighted=requires_weights(recipe))
        return f"{why}; {other_method(target, trust_remote_code, packed=True)}" if why else ""

    def quantize(
        self,
        job: QuantizationJob,
        target: Path,
        rows: list[list[int]],
        progress: QuantizationProgress,
        cancel: CancelToken,
    ) -> EngineResult:
        from faq_tui.core.quantizing.methods.w8a8.matrix import quantize_stack
        from faq_tui.core.quantizing.sequential.batching import Ordering, SolvedMatrix, stored_tensors
        from faq_tui.core.quantizing.sequential.engine import WalkMethod, quantize_layers

        recipe = job.recipe
        assert isinstance(recipe, W8a8Recipe)

        def solve(
            names: list[list[str]], weights: list[Any], factor: Factor, check: Callable[[], None]
        ) -> dict[str, SolvedMatrix]:
            solved = {}
            for position, made in enumerate(quantize_stack(weights, factor, check)):
                dense = (made.codes.float() * made.scale.float()).to(weights[position].dtype)
                losses = made.loss.tolist()
                for index, sharing in enumerate(names):
                    name = sharing[position]
                    tensors = {
                        f"{name}.weight": made.codes[index].cpu(),
                        f"{name}.weight_scale": made.scale[index].cpu(),
                    }
                    solved[name] = SolvedMatrix(dense[index], losses[index], tensors)
            return solved

        def stored(layer: int, solved: dict[str, SolvedMatrix], beside: Path) -> dict[str, Any]:
            del layer, beside
            return stored_tensors(solved)

        def dense_of(module: str, tensors: dict[str, Any]) -> Any:
            del module
            return tensors["weight"].float() * tensors["weight_scale"].float()

        method = WalkMethod(solve, stored, dense_of)
        facts = quantize_layers(job, Ordering(recipe.damp_percent), target, rows, progress, cancel, method)
        scaled = [
            name.removesuffix(".weight_scale") for name in tensors_of(job.out) if name.endswith(".weight_scale")
        ]
        made = tensors_of(job.out)
        shapes = {name: made[f"{name}.weight"][1] for name in scaled}
        path = job.out / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        ignored = sorted(unscaled_modules(target, job.trust_remote_code, set(shapes)))
        config["quantization_config"] = quantization_config(ignored)
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        weights = sum(out * columns for out, columns in shapes.values())
        scales = sum(out * SCALE_BITS for out, _ in shapes.values())
        return EngineResult(recipe.bits + scales / weights, {"activations": ACTIVATIONS, **facts})


def unscaled_modules(target: Path, trust_remote_code: bool, scaled: set[str]) -> set[str]:
    """The names of all modules that have no scales, but that a loader would take for quantized Linear modules.

    `scaled` has the names of the quantized modules in the files. Servers treat routers as Linear modules, so the
    result has routers, too. vLLM knows a module by its name in the files, and transformers by its name in memory, so
    the result has both names.
    """
    from faq_tui.core.models.layer_source import linear_names

    names = linear_names(target, trust_remote_code)
    beside = {name for pair in names.items() if pair[1] not in scaled for name in pair}
    return {"lm_head"} | beside | (set(linear_shapes(target, whole=True)) - scaled)


def quantization_config(ignored: list[str]) -> dict[str, Any]:
    """Make the `quantization_config` of config.json.

    The library compressed-tensors checks and completes the `quantization_config`.

    `ignored` lists the names of the Linear modules that are not quantized.
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


METHOD = W8a8()
