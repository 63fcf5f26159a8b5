"""What gptqmodel is asked for, a function a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.quantizing.job import QuantizationJob

# (gptqmodel, job, folder for what it offloads) -> its config object
Config = Callable[[Any, QuantizationJob, Path], Any]


@dataclass(frozen=True)
class GptqmodelMethod:
    config: Config
    cuda_backend: str  # a kernel that neither downloads nor compiles anything


def _gptq(gptqmodel: Any, job: QuantizationJob, scratch: Path, **more: Any) -> Any:
    return gptqmodel.GPTQConfig(
        bits=job.bits,
        group_size=job.group_size,
        sym=job.sym,
        desc_act=job.desc_act,
        # Reorders whole groups, costs nothing at run time, and needs groups.
        act_group_aware=not job.desc_act and job.group_size != -1,
        damp_percent=job.damp_percent,
        **_common(gptqmodel, job, scratch),
        **more,
    )


def _gptaq(gptqmodel: Any, job: QuantizationJob, scratch: Path) -> Any:
    second = gptqmodel.quantization.config.GPTAQConfig(alpha=job.alpha, device="auto")
    return _gptq(gptqmodel, job, scratch, gptaq=second)


def _awq(gptqmodel: Any, job: QuantizationJob, scratch: Path) -> Any:
    config = gptqmodel.quantization.config.AWQConfig
    return config(bits=job.bits, group_size=job.group_size, sym=job.sym, **_common(gptqmodel, job, scratch))


def _common(gptqmodel: Any, job: QuantizationJob, scratch: Path) -> dict[str, Any]:
    common: dict[str, Any] = {"offload_to_disk_path": str(scratch / "offload")}
    if job.experts == "all":
        config = gptqmodel.quantization.config
        common["moe"] = config.MoEConfig(routing=config.ExpertsRoutingOverride(num_experts_per_tok="all"))
    return common


FAMILIES: dict[str, GptqmodelMethod] = {
    "gptq": GptqmodelMethod(_gptq, "gptq_torch"),
    "gptaq": GptqmodelMethod(_gptaq, "gptq_torch"),
    "awq": GptqmodelMethod(_awq, "awq_torch"),
}
