"""W8A8 as a quantization method: its settings, cost and writer."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.manifest import EngineResult
from faq_tui.core.quantizing.methods.base import Method
from faq_tui.core.quantizing.methods.w8a8.format import Int8Format
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.settings.recipe import Damping, Presets, Recipe


class W8a8Recipe(Recipe):
    presets: ClassVar[Presets] = {"paper": {}}

    method: Literal["w8a8"] = "w8a8"
    bits: Literal[8] = 8
    group_size: Literal[-1] = -1
    damp_percent: Damping = 0.01


class W8a8(Method):
    name = "w8a8"
    title = "W8A8"
    help = "Rounds weights to INT8 by GPTQ, with a scale for each channel; activations become INT8 as they come."
    recipe = W8a8Recipe
    format = Int8Format()
    cost = MethodCost(
        seconds={"module": 0.00253, "column": 1.315e-4, "forward": 3.96e-14, "weight": 3.577e-10},
        gpu_bytes={"context": 0.77e9, "square": 9.39, "layer": 6.03, "work": 0.58},
        host_bytes={"context": 2.0e9, "total": 1.0, "layer": 0.5},
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
        from faq_tui.core.quantizing.methods.w8a8.engine import quantize

        return quantize(job, target, rows, progress, cancel)


METHOD = W8a8()
