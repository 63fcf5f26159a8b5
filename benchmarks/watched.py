"""Run a quantization and record the time of each layer and the peak memory."""

from __future__ import annotations

import os
import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.cost_model import QuantizationCost, estimate
from faq_tui.core.quantizing.layer_profile import LayerProfile
from faq_tui.core.quantizing.output import read_manifest, versions
from faq_tui.core.worker import run_worker


@dataclass
class Watched:
    """Measures one quantization. The methods `layer`, `saving` and `end` receive its events.

    Memory is sampled ten times per second until `end` is called.
    """

    device: str  # cuda | cpu
    limit: float | None = None  # seconds after which `cancel` is set
    cancel: CancelToken = field(default_factory=CancelToken)
    before: float = 0.0  # seconds until the first layer began: imports, loading, embedding
    layer_seconds: list[float] = field(default_factory=list)
    after: float | None = None  # seconds from the last layer to the end: saving
    gpu_bytes: int | None = None  # peak memory in use on the GPU, minus the memory in use before the start
    gpu_allocated_bytes: int | None = None  # peak memory of torch's allocator
    host_bytes: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self._begun: float | None = None  # time at which the current layer began
        self._over = threading.Event()
        self._idle = gpu_used() if self.device == "cuda" else None
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def layer(self) -> None:
        now = time.monotonic()
        if self._begun is None:
            self.before = now - self.started
        else:
            self.layer_seconds.append(now - self._begun)
        self._begun = now

    def saving(self) -> None:
        if self._begun is not None:
            self.layer_seconds.append(time.monotonic() - self._begun)

    def end(self, whole: bool) -> None:
        self._over.set()
        self._thread.join()
        if whole:
            self.after = time.monotonic() - self.started - self.before - sum(self.layer_seconds)

    @property
    def per_layer(self) -> float | None:
        return round(statistics.fmean(self.layer_seconds), 3) if self.layer_seconds else None

    def _sample(self) -> None:
        while not self._over.wait(0.1):
            if self.limit is not None and time.monotonic() - self.started > self.limit:
                self.cancel.set()
            self.host_bytes = max(self.host_bytes, children_bytes())
            if self._idle is not None:
                self.gpu_bytes = max(self.gpu_bytes or 0, (gpu_used() or 0) - self._idle)


def watch(spec: dict[str, Any], log: Path, limit: float) -> Watched:
    """Run `spec` in a worker child and stop it after `limit` seconds. Returns the measurements until this time."""
    seen = Watched("cuda" if spec["device"] == "cuda" else "cpu", limit)
    told = {"layer_started": seen.layer, "saving": seen.saving}
    whole = False

    def hear(message: dict[str, Any]) -> None:
        if message["kind"] in told:
            told[message["kind"]]()

    try:
        run_worker("quantize", spec, hear, seen.cancel, log)
        whole = True
        manifest = read_manifest(Path(spec["out"])) or {}
        if seen.device == "cuda":
            seen.gpu_allocated_bytes = int(float(manifest.get("peak_memory_mb", 0)) * 1e6)
    except FaqError as error:
        seen.note = f"stopped after {limit:.0f} s" if seen.cancel.is_set else str(error)[:300]
    finally:
        seen.end(whole)
    return seen


def cost_row(key: str, model: str, profile: LayerProfile, seen: Watched) -> dict[str, Any]:
    """A row in the format of faq_tui/core/data/quantize_costs.json. `key` is the cost key (see cost_model.py)."""
    return {
        "method": key,
        "model": model,
        "profile": profile.to_json(),
        "device": seen.device,
        "device_name": name_of(seen.device),
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "layers_measured": len(seen.layer_seconds),
        "seconds_per_layer": seen.per_layer,
        "seconds_before": round(seen.before, 2),
        "seconds_after": None if seen.after is None else round(seen.after, 2),
        "gpu_bytes": seen.gpu_bytes,
        "gpu_allocated_bytes": seen.gpu_allocated_bytes,
        "host_bytes": seen.host_bytes,
        "note": seen.note,
    }


def told_beforehand(row: dict[str, Any]) -> QuantizationCost:
    """Doctor's estimate for the quantization of a row."""
    profile = LayerProfile.from_json(row["profile"])
    return estimate(row["method"], profile, row["device"], name=row["device_name"])


def whole_seconds(row: dict[str, Any]) -> float | None:
    """Seconds from the start to the end of the worker that quantized a row; None if they are not recorded."""
    if row["seconds_per_layer"] is None or row["seconds_after"] is None:
        return None
    layers: int = row["profile"]["layers"]
    return float(row["seconds_before"] + layers * row["seconds_per_layer"] + row["seconds_after"])


def children_bytes() -> int:
    """The resident memory of all children of this process."""
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total


def gpu_used() -> int | None:
    """The used bytes of the first visible GPU; None if they are not known."""
    try:
        import pynvml

        pynvml.nvmlInit()
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(int(first or 0))).used)
    except Exception:  # noqa: BLE001  no library, no driver, no device: there is nothing to tell
        return None


def name_of(device: str) -> str:
    from faq_tui.core.models.devices import device_name, device_of

    return device_name(device_of(device))
