"""gptqmodel's callbacks and log rows become messages of the worker.

Two of the three entry points are called on gptqmodel's worker threads, where an exception would end the run
in ways of its own: they only send, and keep what goes wrong for the calling thread to raise.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError

Send = Callable[..., None]


class QuantizationProgress:
    """Sends `layer_started`, `module`, `layer_done`, each layer and each module once."""

    def __init__(self, send: Send, cancel: CancelToken) -> None:
        self.send = send
        self.losses: list[dict[str, Any]] = []  # what `solved` was given, in order of arrival
        self.failure: Exception | None = None
        self._cancel = cancel
        self._lock = threading.Lock()
        self._layers: set[int] = set()

    def begin(self, layers: int, rows: list[list[int]]) -> None:
        self.send("quantize_started", layers=layers, samples=len(rows), tokens=sum(map(len, rows)))

    def start_layer(self, layer: int, modules: list[str]) -> None:
        """Calling thread. `modules` are named relative to the layer; told once a layer."""
        if layer not in self._layers:
            self._layers.add(layer)
            self.send("layer_started", layer=layer, modules=modules)

    @property
    def should_stop(self) -> bool:
        return self._cancel.is_set or self.failure is not None

    def module_done(self, row: dict[str, Any]) -> None:
        """Any thread, never raises: one log row of gptqmodel, whose values are all text."""
        try:
            layer, module, loss = int(row["layer"]), str(row["module"]), read_loss(str(row["loss"]))
            self.solved(
                layer,
                module,
                loss.value,
                loss.note,
                float(row["time"]),
                int(row.get("samples") or 0),
                float(row.get("damp") or 0.0),
            )
            if loss.broken:
                self.broken(layer, module, loss.broken)
        except Exception as error:  # noqa: BLE001  see the module's docstring
            self._keep(error)

    def solved(
        self, layer: int, module: str, loss: float | None, note: str, seconds: float, samples: int, damp: float
    ) -> None:
        """`samples`: tokens that reached the module; `loss` None: it was rounded, and `note` says why."""
        done = {"layer": layer, "module": module, "loss": loss, "note": note}
        more = {"seconds": round(seconds, 4), "samples": samples, "damp": damp}
        with self._lock:
            self.losses.append(done | more)
            self.send("module", **done, **more)

    def again(self, messages: list[dict[str, Any]], send: Send) -> None:
        """Calling thread: what an earlier attempt told of layers that are not done again, to `send`."""
        for message in messages:
            body = dict(message)
            kind = body.pop("kind")
            self._layers.add(body["layer"])
            if kind == "module":
                self.losses.append(body)
            send(kind, **body)

    def broken(self, layer: int, module: str, why: object) -> None:
        """Any thread, never raises."""
        self._keep(
            FaqError(
                f"quantization of layer {layer} {module} failed because {why}: look for NaN "
                "in the weights of the target, or give more calibration rows or a higher damp_percent"
            )
        )

    def layer_done(self, layer: int) -> None:
        """Any thread, never raises: all modules of the layer are packed."""
        try:
            self.send("layer_done", layer=layer)
        except Exception as error:  # noqa: BLE001
            self._keep(error)

    def check(self) -> None:
        """Calling thread: raise what went wrong, or `Stopped`."""
        if self.failure is not None:
            raise self.failure
        self._cancel.check()

    def _keep(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error


NOTHING_REACHED_IT = 999999999.0
NO_SCALE = "not applicable"


@dataclass(frozen=True)
class Loss:
    value: float | None  # None: the module was rounded, `note` says why
    note: str = ""
    broken: str = ""  # why the module cannot be used


def read_loss(text: str) -> Loss:
    """Judge the `loss` column of one log row."""
    text = text.strip()
    if text.startswith("fallback("):
        if not _finite(text.rpartition(":")[2]):
            return Loss(None, text, "its weights are not finite")
        return Loss(None, f"rounded without calibration, too few tokens reached it: {text}")
    if text == NO_SCALE:
        return Loss(None, "rounded as it is: AWQ has no earlier module into which its scales could go")
    try:
        value = float(text)
    except ValueError:
        return Loss(None, text, f"the solve gave up ({text!r})")
    if not math.isfinite(value):
        return Loss(None, text, f"its loss is {text}")
    if value == NOTHING_REACHED_IT:
        return Loss(None, text, "no calibration token reached it")
    return Loss(value)


def _finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
