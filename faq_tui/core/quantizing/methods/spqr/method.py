"""SpQR as a quantization method: its settings, cost and writer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.formats import DENSE
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.manifest import EngineResult
from faq_tui.core.quantizing.methods.base import Method
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.settings.recipe import PAPER, Damping, GroupSize, Presets, Recipe


class SpqrRecipe(Recipe):
    # Damping 0.01 is ours; 1.0 is the preset in the README of the authors' own code.
    presets: ClassVar[Presets] = {"paper": PAPER, "default": {}, "reference": {"damp_percent": 1.0}}

    method: Literal["spqr"] = "spqr"
    bits: Literal[4, 3, 8] = 4
    group_size: GroupSize = 128
    damp_percent: Damping = 0.01
    outlier_threshold: Annotated[float, Field(gt=0.0, description="smaller makes more outliers")] = 0.2
    scale_bits: Annotated[int, Field(ge=0, le=8, description="of scales and zeros; 0: both in 16 bits")] = 3
    scale_group: Annotated[int, Field(ge=1, le=4096, description="output rows that share a scale's scale")] = 16


class Spqr(Method):
    name = "spqr"
    title = "SpQR"
    help = "Rounds like GPTQ, keeps the most costly weights as 16-bit outliers, and quantizes scales, too."
    recipe = SpqrRecipe
    format = DENSE
    cost = MethodCost(
        seconds={"module": 0.002126, "column": 2.097e-4, "forward": 3.671e-14, "weight": 2.085e-9},
        gpu_bytes={"context": 0.77e9, "square": 9.93, "layer": 8.14, "work": 0.49},
        host_bytes={"context": 2.1e9, "total": 1.0, "layer": 1.2},
        passes=3.5,
        whole_model=True,
    )

    def quantize(
        self,
        job: QuantizationJob,
        target: Path,
        rows: list[list[int]],
        progress: QuantizationProgress,
        cancel: CancelToken,
    ) -> EngineResult:
        from faq_tui.core.quantizing.methods.spqr.engine import quantize

        return quantize(job, target, rows, progress, cancel)


METHOD = Spqr()
