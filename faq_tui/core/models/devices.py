"""The device that a worker computes on: its name, its free memory and its peak memory use."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.host_memory import free_host_bytes
from faq_tui.core.models.model_code import without_code


def device_of(device: str) -> str:
    """The device that a value of the setting `device` stands for.

    `auto` means the GPU if there is one, else the CPU.
    """
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def devices_of(device: str, count: int) -> list[str]:
    """The torch devices over which a job divides its rows: `count` GPUs, or `count` times the CPU.

    `device` is a value of the setting `device`. Raises FaqError if this process sees fewer GPUs.
    """
    import torch

    kind = device_of(device)
    if count == 1 or device == "cpu":
        return [kind] * count
    if (seen := torch.cuda.device_count()) < count:
        raise FaqError(
            f"quantize.gpus_per_artefact is {count}, but the worker sees "
            f"{seen or 'no'} GPU{'' if seen == 1 else 's'}: "
            f"set it to {max(1, seen)}, or let CUDA_VISIBLE_DEVICES show more GPUs"
        )
    return [f"{kind}:{number}" for number in range(count)]


def is_cuda(device: str) -> bool:
    """True for `cuda`, and for one GPU of several, such as `cuda:1`."""
    return device.partition(":")[0] == "cuda"


def device_name(device: str) -> str:
    """Product name of the GPU or of the processor."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    name = _line("/proc/cpuinfo", "model name")
    return name or platform.processor() or platform.machine()


def free_bytes(device: str) -> int | None:
    """Free memory of the GPU or of the host in bytes; None if the system does not report it.

    The free memory of the host is limited by the control groups of this process.
    """
    if is_cuda(device):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return free_host_bytes()


def work_bytes(device: str) -> int:
    """The number of bytes that one step of a batched computation may take.

    The number depends on the total memory and not on the free memory, so that a machine always uses the same batches.
    """
    if is_cuda(device):
        import torch

        return int(torch.cuda.mem_get_info(device)[1]) // 16
    return 256 << 20


@dataclass(frozen=True)
class GpuInfo:
    name: str  # the GPU's name in torch
    free: int  # free memory in bytes
    uuid: str = ""  # a value of CUDA_VISIBLE_DEVICES that shows only this GPU
    split: bool = False  # True if MIG splits the GPU into parts


def first_gpu() -> GpuInfo | None:
    """The first GPU, or None if there is none. The facts come from the driver's library, so torch is not imported."""
    return next(iter(_gpus(1)), None)


def all_gpus() -> tuple[GpuInfo, ...]:
    """The NVIDIA GPUs of this machine, also those that CUDA_VISIBLE_DEVICES hides. Torch is not imported."""
    return tuple(_gpus(None))


def _gpus(most: int | None) -> list[GpuInfo]:
    """The first `most` GPUs; all GPUs if `most` is None."""
    try:
        import pynvml

        pynvml.nvmlInit()
        found, count = [], pynvml.nvmlDeviceGetCount()
        for index in range(count if most is None else min(most, count)):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            name, free = str(pynvml.nvmlDeviceGetName(handle)), int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
            found.append(GpuInfo(name, free, str(pynvml.nvmlDeviceGetUUID(handle)), _is_split(handle)))
        return found
    except Exception:  # noqa: BLE001  without library, driver or device there is no GPU to report
        return []


def _is_split(handle: Any) -> bool:
    import pynvml

    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0])
    except pynvml.NVMLError:  # this type of GPU cannot be split
        return False


def used_devices(device: str) -> str:
    """The name of the device, with the number of GPUs if this process has used several GPUs."""
    name = device_name(device)
    used = sum(peak > 0 for peak in _gpu_peaks()) if device == "cuda" else 1
    return f"{used} × {name}" if used > 1 else name


def peak_memory_mb(device: str) -> float:
    """Peak memory of this process in MB.

    For "cuda", the result is the peak on the GPU that this process used most. For any other device, the result is the
    peak resident set size.
    """
    if device == "cuda":
        return round(max(_gpu_peaks()) / 1e6, 1)
    import resource

    return float(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1))  # Linux reports kB


def _gpu_peaks() -> list[float]:
    """Peak memory of this process in bytes, on each visible GPU."""
    import torch

    return [float(torch.cuda.max_memory_allocated(index)) for index in range(torch.cuda.device_count())]


def _line(path: str, name: str) -> str:
    """The value in the line `name: value` of a file in /proc; "" if there is no such line."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def dtype_name(name: str, device: str, folder: Path, trust_remote_code: bool = False) -> str:
    """The torch name of the dtype in which the model computes.

    `auto` means float32 on the CPU and the target's dtype on a GPU.

    A computation in bfloat16 instead of float32 changes the measured KL divergence by about 1e-3 nats per token. The
    KL divergence of an 8-bit artefact is not larger than this change.
    """
    if name != "auto":
        return name
    if device == "cpu":
        return "float32"
    from transformers import AutoConfig

    with without_code(folder, trust_remote_code) as safe:
        config = AutoConfig.from_pretrained(safe, trust_remote_code=trust_remote_code).get_text_config()
    return str(getattr(config, "dtype", None) or "bfloat16").removeprefix("torch.")
