"""GPTQ as a quantization method (Frantar et al. 2022, arXiv:2210.17323): its settings and its two engines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.layer_profile import LayerProfile
from faq_tui.core.quantizing.methods.gptq.format import GPTQ_FORMAT
from faq_tui.core.quantizing.methods.gptq.matrix import NORM
from faq_tui.core.quantizing.methods.gptq.walked import (
    GPTQMODEL,
    WALK,
    by_engine,
    cost_key,
    engines_refusal,
    refusal_of_shapes,
    weights_need_walk,
)
from faq_tui.core.quantizing.methods.gptqmodel.method import Experts, GptqmodelMethod, GptqmodelRecipe, common_options
from faq_tui.core.quantizing.output import EngineResult
from faq_tui.core.quantizing.preflight import expert_count
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.settings.recipe import PAPER, Damping, GroupSize, Presets, Recipe
from faq_tui.core.settings.section import AddedLater
from faq_tui.core.settings.weights import (
    AUTO_SHARE,
    WEIGHTS_ADDED_LATER,
    KindWeights,
    SinkShare,
    TokenWeightsKey,
    WeightedRecipe,
    requires_weights,
)

Sym = Annotated[bool, Field(description="if true, the grid is symmetric, and its zero point is fixed")]
Engine = Annotated[
    Literal["auto", "walk", "gptqmodel"],
    Field(
        description="walk is faq-tui's own solver; gptqmodel is a library for other models; auto chooses one of them"
    ),
    AddedLater(),
]
ScaleSearch = Annotated[
    bool, Field(description="if true, the scale with the least rounding error is used"), AddedLater()
]


class EngineRecipe(WeightedRecipe, GptqmodelRecipe):
    """The recipe of an `EngineMethod`. A subclass declares the keys `engine`, `experts` and `scale_search`.

    The subclass also declares the keys of a `WeightedRecipe`.
    """

    added_later: ClassVar[Mapping[str, Any]] = {
        **GptqmodelRecipe.added_later,
        **WEIGHTS_ADDED_LATER,
        "engine": "auto",
        "scale_search": False,
    }
    lacking: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="after")
    def _engine_has_the_options(self) -> Self:
        recipe: Any = self
        if recipe.engine == WALK and recipe.experts == "all":
            raise ValueError('experts = "all" needs engine = "gptqmodel" or "auto"')
        if requires_weights(self) and (recipe.engine == GPTQMODEL or recipe.experts == "all"):
            library = f'engine = "{GPTQMODEL}"' if recipe.engine == GPTQMODEL else 'experts = "all"'
            raise ValueError(
                f"{library} uses the library GPTQModel, which counts every token once: remove this setting, "
                "or remove sink_share and token_weights"
            )
        return self


class GptqRecipe(EngineRecipe):
    presets: ClassVar[Presets] = {"paper": PAPER}

    method: Literal["gptq"] = "gptq"
    bits: Literal[4, 8] = 4
    group_size: GroupSize = 128
    sym: Sym = True
    desc_act: Annotated[bool, Field(description="if true, columns with large activations are quantized first")] = (
        False
    )
    damp_percent: Damping = 0.01
    scale_search: ScaleSearch = True
    experts: Experts = "routed"
    engine: Engine = "auto"
    sink_share: SinkShare = "auto"
    token_weights: TokenWeightsKey = KindWeights()

    def auto_share(self) -> float | None:
        """Without the search for the scales, shares of 0.02 and above raised the KL. 8 bits were not measured."""
        own = self.engine != GPTQMODEL and self.experts != "all"
        return AUTO_SHARE if own and self.bits == 4 and self.scale_search else None


def gptq_config(gptqmodel: Any, recipe: Any, scratch: Path, **more: Any) -> Any:
    """Make gptqmodel's GPTQConfig for a recipe of GPTQ or GPTAQ."""
    return gptqmodel.GPTQConfig(
        bits=recipe.bits,
        group_size=recipe.group_size,
        sym=recipe.sym,
        desc_act=recipe.desc_act,
        # The option act_group_aware changes the order of whole groups, so it needs more than one group. The option
        # does not slow down inference.
        act_group_aware=not recipe.desc_act and recipe.group_size != -1,
        damp_percent=recipe.damp_percent,
        mse=NORM if recipe.scale_search else 0.0,
        **common_options(gptqmodel, recipe, scratch),
        **more,
    )


class EngineMethod(GptqmodelMethod):
    """A method that runs on faq-tui's own engine (walk) or on GPTQModel. The recipe chooses the engine."""

    def needs_library(self, recipe: Recipe, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> str:
        why = refusal_of_shapes(recipe, expert_count(config), shapes)
        if getattr(recipe, "engine", None) == GPTQMODEL:
            return f'engine = "{GPTQMODEL}" is set'
        return f"faq-tui's own engine (walk) cannot run this recipe ({why})" if why else ""

    def preflight(self, recipe: Recipe, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> None:
        """Like `Method.preflight`, but also raises UsageError if a recipe with token weights needs GPTQModel."""
        super().preflight(recipe, config, shapes)
        if requires_weights(recipe) and (why := refusal_of_shapes(recipe, expert_count(config), shapes)):
            raise UsageError(weights_need_walk(why))

    def cost_key(self, recipe: Recipe, profile: LayerProfile) -> str:
        return cost_key(self.name, recipe, profile)

    def refusal(self, recipe: Recipe, target: Path, trust_remote_code: bool) -> str:
        return engines_refusal(recipe, target, trust_remote_code, super().refusal(recipe, target, trust_remote_code))

    def quantize(
        self,
        job: QuantizationJob,
        target: Path,
        rows: list[list[int]],
        progress: QuantizationProgress,
        cancel: CancelToken,
    ) -> EngineResult:
        """This function implements `Method.quantize`.

        The recipe chooses the engine, and the manifest's entry `engine` names it.
        """
        library = super().quantize
        return by_engine(job, target, rows, progress, cancel, lambda: library(job, target, rows, progress, cancel))


class Gptq(EngineMethod):
    name = "gptq"
    title = "GPTQ"
    help = "Rounds weights column by column, and corrects later columns by the Hessian of the layer's inputs."
    recipe = GptqRecipe
    format = GPTQ_FORMAT
    cuda_backend = "gptq_torch"
    checkpoints = True
    cost = MethodCost(
        seconds={"module": 0.09047, "column": 4.149e-5, "hessian": 3.058e-14, "weight": 1.78e-8},
        gpu_bytes={"context": 1.7e9, "states": 2.08, "layer": 1.72, "expert_squares": 0.61},
        host_bytes={"context": 2.3e9, "states": 0.99, "resident": 1.98, "expert_squares": 0.67},
        passes=5.0,
    )
    engine_costs = MappingProxyType(
        {
            WALK: MethodCost(
                seconds={"forward": 1.3e-14, "hessian": 6e-15, "column": 5e-5, "module": 0.0025, "weight": 3.2e-9},
                gpu_bytes={"context": 0.85e9, "gpu_states": 1.0, "square": 2.74, "layer": 3.21, "work": 0.6},
                host_bytes={"context": 3.2e9, "resident": 1.0, "layer": 1.0, "host_states": 1.0},
                passes=3.5,
                walk=True,
            )
        }
    )

    def config(self, gptqmodel: Any, recipe: Any, scratch: Path) -> Any:
        return gptq_config(gptqmodel, recipe, scratch)


METHOD = Gptq()
