"""GPTAQ (Li et al. 2025, arXiv:2504.02692). GPTAQ extends GPTQ: it also corrects errors in a layer's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from faq_tui.core.base.errors import UsageError
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.methods.gptq.format import GPTQ_FORMAT
from faq_tui.core.quantizing.methods.gptq.method import (
    Engine,
    EngineMethod,
    EngineRecipe,
    ScaleSearch,
    Sym,
    gptq_config,
)
from faq_tui.core.quantizing.methods.gptq.walked import WALK
from faq_tui.core.quantizing.methods.gptqmodel.method import Experts
from faq_tui.core.quantizing.preflight import expert_count
from faq_tui.core.settings.recipe import PAPER, Damping, GroupSize, Presets, Recipe
from faq_tui.core.settings.weights import KindWeights, SinkShare, TokenWeightsKey, requires_weights


class GptaqRecipe(EngineRecipe):
    presets: ClassVar[Presets] = {"paper": PAPER}

    method: Literal["gptaq"] = "gptaq"
    bits: Literal[4, 8] = 4
    group_size: GroupSize = 128
    sym: Sym = True
    desc_act: Annotated[Literal[False], Field(description="always false")] = False
    damp_percent: Damping = 0.05
    alpha: Annotated[float, Field(ge=0.0, le=1.0, description="share of the input errors that is corrected")] = 0.25
    scale_search: ScaleSearch = True
    experts: Experts = "routed"
    engine: Engine = "auto"
    sink_share: SinkShare = "off"
    token_weights: TokenWeightsKey = KindWeights()

    @model_validator(mode="before")
    @classmethod
    def _in_the_columns_own_order(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("desc_act") is True:
            raise ValueError(
                "gptaq does not support desc_act = true: its second correction needs the original column order"
            )
        return values


class Gptaq(EngineMethod):
    name = "gptaq"
    title = "GPTAQ"
    help = "GPTQ that also corrects input errors caused by earlier quantized layers."
    recipe = GptaqRecipe
    format = GPTQ_FORMAT
    cuda_backend = "gptq_torch"
    # The measurements are too few to fit the factor `hessian`, so its value is the computed time of two
    # float32 products at 50 TFLOP/s.
    cost = MethodCost(
        seconds={"column": 5.83e-4, "hessian": 8e-14, "weight": 3.54e-9},
        gpu_bytes={"context": 1.69e9, "inputs": 1.08, "weight": 17.75},
        host_bytes={"context": 2.28e9, "states": 1.96, "resident": 2.4},
        passes=10.0,  # forward passes per layer; the unquantized model's passes are included
        twofold=True,
    )
    engine_costs = MappingProxyType(
        {
            WALK: MethodCost(
                seconds={"forward": 2e-14, "hessian": 1.1e-14, "column": 5e-5, "module": 0.0025, "weight": 3.2e-9},
                gpu_bytes={"context": 0.85e9, "gpu_states": 2.0, "square": 7.1, "layer": 4.2, "work": 0.6},
                host_bytes={"context": 3.16e9, "resident": 1.0, "layer": 1.0, "host_states": 2.0},
                passes=7.0,  # forward passes per layer; the unquantized model's passes are included
                twofold=True,
                walk=True,
            )
        }
    )

    def preflight(self, recipe: Recipe, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> None:
        """Like `Method.preflight`, but also raises UsageError if the experts get only routed tokens.

        GPTAQ needs every token for every expert.
        """
        if getattr(recipe, "experts", None) != "all" and expert_count(config) > 0:
            advice = 'set experts = "all" in the recipe, which calibrates every expert on every token, or use gptq'
            if requires_weights(recipe):  # the experts = "all" of the advice would be refused
                advice = "use gptq, spqr or w8a8"
            raise UsageError(f"gptaq does not support the routing of a mixture of experts: {advice}")
        super().preflight(recipe, config, shapes)

    def config(self, gptqmodel: Any, recipe: Any, scratch: Path) -> Any:
        second = gptqmodel.quantization.config.GPTAQConfig(alpha=recipe.alpha, device="auto")
        return gptq_config(gptqmodel, recipe, scratch, gptaq=second)


METHOD = Gptaq()
