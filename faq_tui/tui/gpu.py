"""A daemon thread samples the load of the GPUs, or of CPU and memory if there is no GPU.

`pynvml` blocks until the driver answers. Therefore the screen never calls `pynvml`, but shows the last sample.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EVERY_S = 2.0
GIB = 1 << 30


@dataclass(frozen=True)
class GpuLoad:
    """The load of one GPU when the sample was taken."""

    name: str
    load: int  # percentage of the last sampling period in which the GPU was busy
    used: int  # bytes of GPU memory
    total: int
    celsius: int | None


@dataclass(frozen=True)
class MachineSample:
    """The load of the machine when the sample was taken."""

    gpus: tuple[GpuLoad, ...]
    cpu: float | None  # load of all cores in percent; None until the second sample
    used: int  # bytes of main memory
    total: int


class MachineSampler:
    """Takes samples of the machine's load on a thread.

    `latest` is None until the first sample. Tests and replays replace `read`.
    """

    def __init__(self, read: Callable[[], MachineSample] | None = None) -> None:
        self.latest: MachineSample | None = None
        self._read = read
        self._end = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._sample, name="machine", daemon=True).start()

    def close(self) -> None:
        """Ask the thread to end at its next sample, and return without waiting."""
        self._end.set()

    def _sample(self) -> None:
        read = self._read or reader()
        while not self._end.is_set():
            self.latest = read()
            self._end.wait(EVERY_S)


def reader() -> Callable[[], MachineSample]:
    """Return the function that reads a sample on this machine."""
    import psutil

    handles = _handles()

    def read() -> MachineSample:
        memory = psutil.virtual_memory()
        cpu = psutil.cpu_percent(None)
        return MachineSample(
            tuple(filter(None, map(_gpu, handles))), cpu, memory.total - memory.available, memory.total
        )

    psutil.cpu_percent(None)  # the first call measures nothing; the next call measures the load since the first call
    return read


def _handles() -> list[Any]:
    import pynvml

    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def _gpu(handle: Any) -> GpuLoad | None:
    """Return the load of one GPU, or None if the driver does not report its memory or load.

    For example, the driver does not report memory and load for a MIG slice or a lost device.
    """
    import pynvml

    try:
        name = pynvml.nvmlDeviceGetName(handle)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        load = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
    except pynvml.NVMLError:
        return None
    try:
        celsius = int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
    except pynvml.NVMLError:
        celsius = None
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return GpuLoad(text.removeprefix("NVIDIA "), int(load), int(memory.used), int(memory.total), celsius)


def describe(sample: MachineSample | None, width: int) -> str:
    """The load of the machine in one line of at most `width` characters, with as much detail as fits."""
    if sample is None:
        return ""
    fits = [line for line in (_gpu_lines(sample.gpus) if sample.gpus else _cpu_lines(sample)) if len(line) <= width]
    return fits[0] if fits else ""


def _gpu_lines(gpus: tuple[GpuLoad, ...]) -> list[str]:
    used, total = sum(g.used for g in gpus) / GIB, sum(g.total for g in gpus) / GIB
    load = round(sum(g.load for g in gpus) / len(gpus))
    memory = f"{used:.1f} of {total:.0f} GiB"
    heat = [g.celsius for g in gpus if g.celsius is not None]
    hot = f" · {max(heat)} °C" if heat else ""
    each = " · ".join(f"{g.name} {g.load}% {g.used / GIB:.1f} of {g.total / GIB:.0f} GiB" for g in gpus)
    name = gpus[0].name if len(gpus) == 1 else f"{len(gpus)} × {gpus[0].name}"
    short = "GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs"
    return [
        *([f"{each}{hot}"] if len(gpus) > 1 else []),
        f"{name} {load}% · {memory}{hot}",
        f"{short} {load}% · {memory}{hot}",
        f"{short} {load}% · {memory}",
        f"{short} {load}%",
    ]


def _cpu_lines(sample: MachineSample) -> list[str]:
    cpu = f"CPU {sample.cpu:.0f}%" if sample.cpu is not None else "CPU"
    memory = f"{sample.used / GIB:.1f} of {sample.total / GIB:.1f} GiB"
    return [f"no GPU · {cpu} · memory {memory}", f"no GPU · {cpu} · {memory}", f"no GPU · {cpu}", cpu]
