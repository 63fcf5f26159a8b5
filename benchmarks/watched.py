"""One quantization in a worker child, with the time of each layer and what it held at most."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from faq_tui.core.cancel import CancelToken
from faq_tui.core.errors import FaqError
from faq_tui.core.quantizing.manifest import read_manifest, versions
from faq_tui.core.worker import run_worker


@dataclass
class Watched:
    device: str
    device_name: str = ""
    versions: dict[str, str | None] = field(default_factory=versions)
    before: float = 0.0  # seconds until the first layer began: imports, loading, embedding
    layer_seconds: list[float] = field(default_factory=list)
    after: float | None = None  # seconds from the last layer to the end: saving
    gpu_bytes: int | None = None  # on the device as a whole, less what was there before
    gpu_allocated_bytes: int | None = None  # by torch's own count
    host_bytes: int = 0
    note: str = ""

    @property
    def per_layer(self) -> float | None:
        return round(statistics.median(self.layer_seconds), 3) if self.layer_seconds else None


def watch(spec: dict[str, Any], log: Path, limit: float) -> Watched:
    """Run `spec`; stopped after `limit` seconds, with what is known by then."""
    seen = Watched("cuda" if spec["device"] == "cuda" else "cpu", name_of(spec["device"]))
    cancel, over = CancelToken(), threading.Event()
    started = time.monotonic()
    begun: list[float] = []
    idle = gpu_used() if seen.device == "cuda" else None

    def sample() -> None:
        while not over.wait(0.1):
            if time.monotonic() - started > limit:
                cancel.set()
            seen.host_bytes = max(seen.host_bytes, children_bytes())
            if idle is not None:
                seen.gpu_bytes = max(seen.gpu_bytes or 0, (gpu_used() or 0) - idle)

    def hear(message: dict[str, Any]) -> None:
        now = time.monotonic()
        if message["kind"] == "layer_started":
            if begun:
                seen.layer_seconds.append(now - begun[-1])
            else:
                seen.before = now - started
            begun.append(now)
        elif message["kind"] == "saving" and begun:
            seen.layer_seconds.append(now - begun[-1])

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        run_worker("quantize", spec, hear, cancel, log)
        seen.after = time.monotonic() - started - seen.before - sum(seen.layer_seconds)
        manifest = read_manifest(Path(spec["out"])) or {}
        if seen.device == "cuda":
            seen.gpu_allocated_bytes = int(float(manifest.get("peak_memory_mb", 0)) * 1e6)
    except FaqError as error:
        seen.note = f"stopped after {limit:.0f} s" if cancel.is_set else str(error)[:300]
    finally:
        over.set()
        thread.join()
    return seen


def children_bytes() -> int:
    """Resident set of all children of this process."""
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total


def gpu_used() -> int | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used)
    except Exception:  # noqa: BLE001  no library, no driver, no device: there is nothing to tell
        return None


def name_of(device: str) -> str:
    from faq_tui.core.models.devices import device_name, device_of

    return device_name(device_of(device))
