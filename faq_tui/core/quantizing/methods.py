"""The registry of quantization methods: one entry each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faq_tui.core.cancel import CancelToken
from faq_tui.core.errors import UsageError
from faq_tui.core.quantizing.job import Job
from faq_tui.core.quantizing.progress import Progress

# (job, folder of the target, rows of token ids, progress, cancel): writes the model into job.out.
Engine = Callable[[Job, str, list[list[int]], Progress, CancelToken], None]


@dataclass(frozen=True)
class Method:
    engine: str  # "module:function" of an Engine, imported when used: it needs torch
    bits: tuple[int, ...]
    group_sizes: tuple[int, ...]

    def load_engine(self) -> Engine:
        module, function = self.engine.split(":")
        engine: Engine = getattr(importlib.import_module(module), function)
        return engine


GPTQ_GROUP_SIZES = (-1, 16, 32, 64, 128, 256, 512, 1024)  # all that gptqmodel 7.7 accepts

METHODS: dict[str, Method] = {
    "gptq": Method("faq_tui.core.quantizing.gptqmodel_run:quantize", (4, 8), GPTQ_GROUP_SIZES),
}


def method_of(job: Job) -> Method:
    """The registry entry. Raises UsageError on a method, width or group size that does not exist."""
    method = METHODS.get(job.method)
    if method is None:
        raise UsageError(f"there is no quantization method {job.method!r}: choose one of {_listed(METHODS)}")
    if job.bits not in method.bits:
        raise UsageError(f"{job.method} does not write {job.bits} bits: choose one of {_listed(method.bits)}")
    if job.group_size not in method.group_sizes:
        raise UsageError(
            f"{job.method} has no group_size {job.group_size}: choose one of {_listed(method.group_sizes)}"
        )
    return method


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)
