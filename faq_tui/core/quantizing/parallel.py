"""Decide how many artefacts are made at the same time, and which GPUs or how many threads each worker gets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.devices import GpuInfo, all_gpus, free_bytes
from faq_tui.core.quantizing.cost_model import WORK, QuantizationCost, estimate_recipe
from faq_tui.core.quantizing.layer_profile import profile_of
from faq_tui.core.settings import Recipe
from faq_tui.core.worker.forked import GPU_DRIVERS
from faq_tui.core.worker.kept import end_kept

Parallel = int | Literal["auto"]

# If the target's weights take more than SMALL_TARGET bytes, "auto" makes one artefact after the other on a CPU. A
# worker for a smaller target uses little more than one processor core.
SMALL_TARGET = 1 << 30
ON_CPU = 2  # number of artefacts of a small target that "auto" makes at the same time on a CPU


@dataclass(frozen=True)
class WorkerPlace:
    """The resources for one worker: its GPUs or its number of threads.

    `env` has environment variables for the worker. `threads` is the number of processor threads that the worker may
    use; None means that there is no limit. `sharing` is the number of workers that use the same GPU at the same time.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    sharing: int = 1


@dataclass(frozen=True)
class MissingArtefact:
    """The recipe of an artefact that is still to be made, and the size of its calibration set.

    `gpus` is the number of GPUs that make the artefact together, if there are GPUs.
    """

    recipe: Recipe
    rows: int
    tokens: int
    longest: int  # an upper limit for the number of tokens in one row
    gpus: int = 1


@dataclass(frozen=True)
class Hardware:
    """The parts of this machine on which the number of workers depends."""

    gpus: tuple[str, ...] = ()  # values of CUDA_VISIBLE_DEVICES, one for each GPU that this process may use
    free: Mapping[str, int] = field(default_factory=dict)  # maps a value in `gpus` to the GPU's free bytes, if known
    gpu_name: str = ""
    other_gpu: bool = False  # True if there is a GPU that cannot be assigned, such as an AMD GPU
    cores: int = 1
    host: int | None = None  # free host memory in bytes; None if the system does not report it


def places(
    setting: Parallel, device: str, target: Path | None, missing: Sequence[MissingArtefact]
) -> list[WorkerPlace]:
    """One place for each artefact that can be made at the same time on this machine. The list has at least one place.

    `setting` is `quantize.parallel`, and `device` is `target.device`. `target` is the folder of the target; None if
    its files are not on this machine.
    """
    if setting == 1 or len(missing) < 2:
        return [WorkerPlace()]
    found, gpus = _places_now(setting, device, target, missing)
    if setting == "auto" and len(found) < min(len(missing), gpus) and end_kept():
        # The memory of the waiting workers is free now.
        found, _ = _places_now(setting, device, target, missing)
    return found


def _places_now(
    setting: Parallel, device: str, target: Path | None, missing: Sequence[MissingArtefact]
) -> tuple[list[WorkerPlace], int]:
    """The places, and the number of artefacts for which there are enough GPUs."""
    machine, each = hardware_for(device), max(one.gpus for one in missing)
    size, costs = (0, None) if target is None else costs_on(machine, target, missing)
    return places_on(machine, setting, len(missing), costs, size, each), len(machine.gpus) // each


def gpus_refusal(each: int, device: str) -> str:
    """The reason why this machine cannot make an artefact on `each` GPUs together; "" if it can.

    `device` is `target.device`. If the GPUs of this machine cannot be counted here, the worker counts them.
    """
    if each == 1:
        return ""
    asked = f"quantize.gpus_per_artefact is {each}"
    if device == "cpu":
        return f'{asked}, but target.device is "cpu": set gpus_per_artefact = 1, or target.device = "auto"'
    machine = hardware_for(device)
    if any(name.startswith("MIG-") for name in machine.gpus):
        return f"{asked}, but a process can use only one part of a GPU that MIG splits: set gpus_per_artefact = 1"
    seen = len(machine.gpus)
    if machine.other_gpu or seen >= each:
        return ""
    shown = " that CUDA_VISIBLE_DEVICES shows" if "CUDA_VISIBLE_DEVICES" in os.environ else ""
    found = f"{seen or 'no'} GPU{'' if seen == 1 else 's'}{shown}"
    return f"{asked}, but this machine has {found}: set gpus_per_artefact = {max(1, seen)}"


def costs_on(
    machine: Hardware, target: Path, missing: Sequence[MissingArtefact]
) -> tuple[int, list[QuantizationCost] | None]:
    """The size of the target's weights in bytes, and the cost of each missing artefact.

    The costs are None if the files of the target cannot be read.
    """
    device = "cuda" if machine.gpus or machine.other_gpu else "cpu"
    work = max(machine.free.values(), default=16 * WORK) / 16
    size, costs = 0, []
    try:
        for one in missing:
            profile = profile_of(target, one.rows, one.tokens, one.longest)
            size = profile.total_bytes
            costs.append(estimate_recipe(one.recipe, profile, device, work, machine.gpu_name, one.gpus))
    except FaqError:
        return 0, None
    return size, costs


def hardware_for(device: str) -> Hardware:
    """The `Hardware` of this machine that workers may use if `target.device` is `device`."""
    gpus = all_gpus() if device != "cpu" else ()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = assignable(visible, gpus)
    driver = device == "cuda" or any(map(os.path.exists, GPU_DRIVERS))
    part = visible is None and any(gpu.split for gpu in gpus)
    other = device != "cpu" and not names and (part or (not gpus and driver))
    free = {gpu.uuid: gpu.free for gpu in gpus}
    return Hardware(names, free, gpus[0].name if gpus else "", other, cores(), free_bytes("cpu"))


def cores() -> int:
    """The number of processor threads that a worker uses if it has no limit."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(here, int(wanted))) if wanted.isascii() and wanted.isdigit() else here


def thread_limit(wanted: int | None, target_bytes: int, device: str) -> int | None:
    """The number of processor threads with which a worker computes; None if there is no limit.

    `wanted` is the limit in the worker's `WorkerPlace`. The number of threads changes the order of sums, and thereby
    the last bits of a Hessian. For a small target on a CPU, a worker that runs alone therefore uses no more threads
    than each of two simultaneous workers. The artefacts are therefore the same, whether "auto" makes them one after
    the other or two at a time.
    """
    if device != "cpu" or target_bytes > SMALL_TARGET:
        return wanted
    share = max(1, cores() // ON_CPU)
    return share if wanted is None else min(wanted, share)


def assignable(visible: str | None, gpus: Sequence[GpuInfo]) -> tuple[str, ...]:
    """For each visible GPU, a value of CUDA_VISIBLE_DEVICES that shows only this GPU.

    `visible` is the present value of this variable; None if the variable is not set. CUDA ignores a wrong entry and
    all entries after it, and so does this function. If MIG splits a GPU into parts, only the variable can name the
    parts. If the variable is not set, CUDA shows only one part, so the result is empty.
    """
    if visible is None:
        return () if any(gpu.split for gpu in gpus) else tuple(gpu.uuid for gpu in gpus)
    found: list[str] = []
    for entry in map(str.strip, visible.split(",")):
        by_number = entry.isascii() and entry.isdigit() and int(entry) < len(gpus)
        if not (by_number or entry.startswith(("GPU-", "MIG-"))) or entry in found:
            break
        found.append(entry)
    return tuple(found) if gpus else ()


def places_on(
    machine: Hardware,
    setting: Parallel,
    missing: int,
    costs: Sequence[QuantizationCost] | None,
    target_bytes: int,
    each: int = 1,
) -> list[WorkerPlace]:
    """One place for each of the artefacts that are made at the same time on `machine`.

    `missing` is the number of missing artefacts, and `costs` has the cost of each of them. `costs` is None if the
    costs are not known yet. `target_bytes` is the size of the target's weights. If there are GPUs, a place has `each`
    of them. If there are fewer than `each`, the only worker sees all GPUs.
    """
    gpus = machine.gpus
    if setting != "auto":
        count = setting
    elif costs is None or machine.other_gpu:
        count = 1
    elif gpus:
        gpus = tuple(gpu for gpu in gpus if _has_room(machine.free.get(gpu), costs))
        count = _fitting(len(gpus) // each, costs, machine.host)
    else:
        several = machine.cores >= ON_CPU and target_bytes <= SMALL_TARGET
        count = _fitting(ON_CPU if several else 1, costs, machine.host)
    count = min(count, missing)
    if count <= 1 or 0 < len(gpus) < each:
        return [WorkerPlace()]
    if gpus:
        groups = [",".join(gpus[start : start + each]) for start in range(0, len(gpus) - each + 1, each)]
        sharing = -(-count // len(groups))
        return [
            WorkerPlace({"CUDA_VISIBLE_DEVICES": groups[number % len(groups)]}, sharing=sharing)
            for number in range(count)
        ]
    sharing = count if machine.other_gpu else 1
    return [WorkerPlace(threads=max(1, machine.cores // count), sharing=sharing)] * count


def _has_room(free: int | None, costs: Sequence[QuantizationCost]) -> bool:
    """True if the most expensive artefact fits into the free memory of a GPU, or if this memory is not known."""
    return free is None or max(cost.gpu_bytes for cost in costs) <= free


def _fitting(most: int, costs: Sequence[QuantizationCost], host: int | None) -> int:
    """The largest number of artefacts, at most `most`, that fit into the host memory at the same time."""
    if host is None:
        return most
    needs = sorted((cost.host_bytes for cost in costs), reverse=True)
    return max(count for count in range(most + 1) if sum(needs[:count]) <= host)
