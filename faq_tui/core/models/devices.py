"""The device a worker computes on: which, its name, what is free, what was used."""

from __future__ import annotations

import platform
from pathlib import Path


def device_of(device: str) -> str:
    """`auto` is the GPU if there is one."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def device_name(device: str) -> str:
    """`cuda` or `cpu` as a person knows it: the GPU's name, or the processor's."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    name = _line("/proc/cpuinfo", "model name")
    return name or platform.processor() or platform.machine()


def free_bytes(device: str) -> int | None:
    """Memory that can be had now; None where the system does not say."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    available = _line("/proc/meminfo", "MemAvailable")
    return int(available.split()[0]) * 1024 if available else None


def work_bytes(device: str) -> int:
    """What one step of a computation that comes in portions may take.

    It goes by what is there and not by what is free: the same machine then computes in the same portions again.
    """
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[1]) // 16
    return 256 << 20


def gpu_bytes() -> int | None:
    """Free memory of the first GPU by its driver's library, without torch; None if there is no GPU."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).free)
    except Exception:  # noqa: BLE001  no library, no driver, no device: there is nothing to tell
        return None


def peak_memory_mb(device: str) -> float:
    """Peak of this process: on the GPU where one is used, else its resident set."""
    if device == "cuda":
        import torch

        return float(round(torch.cuda.max_memory_allocated() / 1e6, 1))
    import resource

    return float(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1))  # kB on Linux


def _line(path: str, name: str) -> str:
    """The value of `name: value` in a file of /proc, or nothing."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def dtype_name(name: str, device: str, folder: Path, trust_remote_code: bool = False) -> str:
    """Torch's name of the type to compute in. `auto`: float32 on the CPU, on a GPU the target's own.

    bfloat16 arithmetic alone moves the KL by 1e-3: as much as an 8-bit artefact's whole loss.
    """
    if name != "auto":
        return name
    if device == "cpu":
        return "float32"
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code).get_text_config()
    return str(getattr(config, "dtype", None) or "bfloat16").removeprefix("torch.")
