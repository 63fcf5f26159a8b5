"""Report the progress of a quantization as messages of the worker child.

gptqmodel calls `module_done`, `solved`, `broken` and `layer_done` in its own threads. An exception in a thread of
gptqmodel would end the run without a clear error, so the four methods record errors instead of raising them. `check`
raises the first recorded error in the thread that calls `check`.
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
    """Sends the messages `layer_started` and `layer_done` for each layer, and the message `module` for each module.

    No message is sent twice for the same layer or module. `send` is called with the kind of a message and its fields.
    `losses` holds one entry per call of `solved`.
    """

    def __init__(self, send: Send, cancel: CancelToken) -> None:
        self.send = send
        self.losses: list[dict[str, Any]] = []
        self.failure: Exception | None = None
        self._cancel = cancel
        self._lock = threading.Lock()
        self._layers: set[int] = set()
        self._begun = False

    def begin(self, layers: int, rows: list[list[int]]) -> None:
        """Report that the quantization of `layers` layers on `rows` begins.

        If a second engine takes over and calls this method again, nothing is reported.
        """
        if self._begun:
            return
        self._begun = True
        self.send("quantize_started", layers=layers, samples=len(rows), tokens=sum(map(len, rows)))

    def start_layer(self, layer: int, modules: list[str]) -> None:
        """Send the message that `layer` begins, but only once for each layer.

        Names of modules are relative to the layer. Call this method only on the thread that runs the quantization.
        """
        if layer not in self._layers:
            self._layers.add(layer)
            self.send("layer_started", layer=layer, modules=modules)

    @property
    def should_stop(self) -> bool:
        """True if the job was cancelled, or if a module is broken."""
        return self._cancel.is_set or self.failure is not None

    def module_done(self, row: dict[str, Any]) -> None:
        """Record a quantized module from a log row of gptqmodel.

        All values in the row are text. Any thread may call this method.
        """
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
        """Record a quantized module. `samples` is the number of tokens that reached the module.

        If the module was only rounded, `loss` is None, and `note` gives the reason. `damp` is the damping that was
        added to the Hessian.
        """
        done = {"layer": layer, "module": module, "loss": loss, "note": note}
        more = {"seconds": round(seconds, 4), "samples": samples, "damp": damp}
        with self._lock:
            self.losses.append(done | more)
            self.send("module", **done, **more)

    def again(self, messages: list[dict[str, Any]], send: Send) -> None:
        """Repeat the messages of layers that an earlier attempt has quantized.

        Call this method only on the thread that runs the quantization.
        """
        for message in messages:
            body = dict(message)
            kind = body.pop("kind")
            self._layers.add(body["layer"])
            if kind == "module":
                self.losses.append(body)
            send(kind, **body)

    def broken(self, layer: int, module: str, why: object) -> None:
        """Record that the module cannot be quantized, and record the reason `why`.

        `check` raises this error. Any thread may call `broken`.
        """
        self._keep(
            FaqError(
                f"quantization of layer {layer} {module} failed because {why}: look for NaN "
                "in the weights of the target, or give more calibration rows or a higher damp_percent"
            )
        )

    def layer_done(self, layer: int) -> None:
        """Send the message that all modules of the layer are quantized and packed.

        Any thread may call this method. The method never raises an exception.
        """
        try:
            self.send("layer_done", layer=layer)
        except Exception as error:  # noqa: BLE001
            self._keep(error)

    def check(self) -> None:
        """Raise the first recorded error, or `Stopped` after a cancel.

        Call this method only on the thread that runs the quantization.
        """
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
    value: float | None  # None if the module was only rounded; `note` then gives the reason
    note: str = ""
    broken: str = ""  # the reason why the module cannot be used; "" if there is none


def read_loss(text: str) -> Loss:
    """Parse the `loss` column of a log row of gptqmodel."""
    text = text.strip()
    if text.startswith("fallback("):
        if not _finite(text.rpartition(":")[2]):
            return Loss(None, text, "its weights are not finite")
        return Loss(None, f"rounded without calibration, because too few tokens reached it: {text}")
    if text == NO_SCALE:
        return Loss(None, "rounded without scaling, because no earlier module can take the inverse scales")
    try:
        value = float(text)
    except ValueError:
        return Loss(None, text, f"the solver failed ({text!r})")
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
