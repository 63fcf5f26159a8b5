"""The base class and the recipe keys of the methods that the library GPTQModel runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.published.view import format_named, quantization_in
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.layer_profile import LayerProfile
from faq_tui.core.quantizing.library_definitions import library_refusal
from faq_tui.core.quantizing.methods.base import Method
from faq_tui.core.quantizing.output import EngineResult
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.settings.recipe import Recipe
from faq_tui.core.settings.weights import COUNTED_ONCE

Experts = Annotated[
    Literal["routed", "all"],
    Field(
        description="which tokens calibrate an expert: all tokens, or only those that the router sends to it (routed)"
    ),
]


class GptqmodelRecipe(Recipe):
    """Settings of a gptqmodel method. Artefacts that are older than the setting `experts` were made with "routed"."""

    added_later: ClassVar[Mapping[str, Any]] = {"experts": "routed"}
    lacking: ClassVar[Mapping[str, str]] = COUNTED_ONCE

    @field_validator("damp_percent", check_fields=False)
    @classmethod
    def _below_one(cls, value: float) -> float:
        if value >= 1:
            raise ValueError(f"{cls.method_name()} needs a value below 1")
        return value


class GptqmodelMethod(Method):
    """A method that gptqmodel runs.

    `cuda_backend` names a CUDA kernel that needs no download and no compilation. `checkpoints` is True if gptqmodel
    can resume this method from its checkpoints.
    """

    cuda_backend: str
    checkpoints: bool = False

    def config(self, gptqmodel: Any, recipe: Any, scratch: Path) -> Any:
        """Make gptqmodel's configuration for `recipe`. The library offloads weights to the folder `scratch`."""
        raise NotImplementedError

    def workload(self, recipe: Recipe, profile: LayerProfile) -> LayerProfile:
        return profile.routed(getattr(recipe, "experts", None))

    def refusal(self, recipe: Recipe, target: Path, trust_remote_code: bool) -> str:
        del recipe, trust_remote_code
        why = library_refusal(read_config(target))
        return f"{why}; use another method" if why else ""

    def preflight(self, recipe: Recipe, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> None:
        """Like `Method.preflight`, but also raises UsageError if GPTQModel would read FP8 or MXFP4 weights."""
        super().preflight(recipe, config, shapes)
        published = format_named(quantization_in(config))
        why = "" if published is None else self.needs_library(recipe, config, shapes)
        if published is not None and why:
            raise UsageError(
                f"{why}, but faq-tui does not run GPTQModel on a model in {published.title}: use w8a8 or spqr"
            )

    def needs_library(self, recipe: Recipe, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> str:
        """A clause that says why GPTQModel runs this recipe; "" if faq-tui's own engine (walk) runs it."""
        del recipe, config, shapes
        return f"GPTQModel runs {self.name}"

    def quantize(
        self,
        job: QuantizationJob,
        target: Path,
        rows: list[list[int]],
        progress: QuantizationProgress,
        cancel: CancelToken,
    ) -> EngineResult:
        from faq_tui.core.quantizing.methods.gptqmodel.engine import quantize

        return quantize(self, job, target, rows, progress, cancel)


def common_options(gptqmodel: Any, recipe: Any, scratch: Path) -> dict[str, Any]:
    """Arguments that every configuration class of gptqmodel takes."""
    options: dict[str, Any] = {"offload_to_disk_path": str(scratch / "offload")}
    if recipe.experts == "all":
        config = gptqmodel.quantization.config
        options["moe"] = config.MoEConfig(routing=config.ExpertsRoutingOverride(num_experts_per_tok="all"))
    return options
