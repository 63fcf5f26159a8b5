"""The base class of quantization methods.

A subclass declares the settings, the checks, the cost, the quantizer and the weight format of a method.
This module and the modules of the methods do not import torch at the top. Each function that needs torch imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.extensions import Extension
from faq_tui.core.models.dense import DENSE, WeightFormat
from faq_tui.core.models.published.view import format_named, quantization_in
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.layer_profile import LayerProfile
from faq_tui.core.quantizing.output import EngineResult
from faq_tui.core.quantizing.preflight import check_group_size
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.settings.recipe import Recipe


class Method(Extension):
    """A quantization method.

    `recipe` is the pydantic model of the method's settings. `cost` holds the factors from which the method's
    time and memory are estimated. If an engine needs factors that differ from `cost`, `engine_costs` maps the name of
    the engine to its factors. `format` reads and checks the weights that the method stores.
    """

    recipe: type[Recipe]
    format: WeightFormat
    cost: MethodCost = MethodCost()
    engine_costs: Mapping[str, MethodCost] = MappingProxyType({})

    def preflight(self, recipe: Recipe, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> None:
        """Raise UsageError if the target cannot be quantized by `recipe`. The check runs before the costly work.

        `config` is the content of the target's config.json. `shapes` maps each module's name to (out_features,
        in_features).
        """
        published = format_named(quantization_in(config))
        if published is not None and published.packed_refusal and self.format is not DENSE:
            raise UsageError(f"{published.packed_refusal}: use spqr, which writes dense weights, or another target")
        check_group_size(shapes, recipe.group_size, self.recipe.choices("group_size"))

    def refusal(self, recipe: Recipe, target: Path, trust_remote_code: bool) -> str:
        """The reason why `recipe` cannot quantize the model in the folder `target`; "" if there is none.

        A worker child calls this method before the costly work, so it may import torch. Only headers of files are
        read.
        """
        del recipe, target, trust_remote_code
        return ""

    def cost_key(self, recipe: Recipe, profile: LayerProfile) -> str:
        """The key of the recipe's cost factors: `name@engine` for an engine in `engine_costs`, otherwise `name`."""
        del recipe, profile
        return self.name

    def workload(self, recipe: Recipe, profile: LayerProfile) -> LayerProfile:
        """The profile for the cost estimate.

        The result differs from `profile` if the recipe changes the number of tokens that each expert gets.
        """
        del recipe
        return profile

    def quantize(
        self,
        job: QuantizationJob,
        target: Path,
        rows: list[list[int]],
        progress: QuantizationProgress,
        cancel: CancelToken,
    ) -> EngineResult:
        """Quantize the model in the folder `target` on `rows` (token ids) and write it into `job.out`.

        The worker child calls this method. The method reports to `progress`, and calls `cancel.check` between steps.
        If a weight matrix cannot be quantized, the method raises a FaqError that names the layer and the module.
        """
        raise NotImplementedError
