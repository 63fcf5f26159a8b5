"""The registry of quantization methods: one entry each, one engine a family."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.quantizing.gptqmodel.progress import GptqmodelProgress
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.manifest import EngineResult
from faq_tui.core.settings.method_keys import METHOD_KEYS as KEYS

# (job, folder of the target, rows of token ids, progress, cancel): writes the model into job.out.
Engine = Callable[[QuantizationJob, str, list[list[int]], GptqmodelProgress, CancelToken], EngineResult]


@dataclass(frozen=True)
class Method:
    engine: str  # "module:function" of an Engine, imported when used: it needs torch
    quant_method: str | None  # what config.json calls it; None: dense weights

    def load_engine(self) -> Engine:
        module, function = self.engine.split(":")
        engine: Engine = getattr(importlib.import_module(module), function)
        return engine


GPTQMODEL = "faq_tui.core.quantizing.gptqmodel.engine:quantize"

METHODS: dict[str, Method] = {
    "gptq": Method(GPTQMODEL, "gptq"),
    "gptaq": Method(GPTQMODEL, "gptq"),
    "awq": Method(GPTQMODEL, "awq"),
    "spqr": Method("faq_tui.core.quantizing.methods.spqr.engine:quantize", None),
    "w8a8": Method("faq_tui.core.quantizing.methods.w8a8.engine:quantize", "compressed-tensors"),
}


def method_of(job: QuantizationJob) -> Method:
    """The registry entry. Raises UsageError on a method, width or group size that does not exist."""
    method = METHODS.get(job.method)
    if method is None:
        raise UsageError(f"there is no quantization method {job.method!r}: choose one of {_listed(METHODS)}")
    keys = KEYS[job.method]
    if job.bits not in keys.bits:
        raise UsageError(f"{job.method} does not write {job.bits} bits: choose one of {_listed(keys.bits)}")
    if job.group_size not in keys.group_sizes:
        raise UsageError(
            f"{job.method} has no group_size {job.group_size}: choose one of {_listed(keys.group_sizes)}"
        )
    return method


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)
