"""The artefacts that this job has quantized or is quantizing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from faq_tui.core.run import events as e

ArtefactEvent = e.ArtefactStarted | e.LayerStarted | e.ModuleQuantized | e.LayerDone | e.ArtefactDone


@dataclass
class ArtefactLive:
    name: str
    layers: int
    started: float
    samples: int = 0
    tokens: int = 0
    modules: dict[tuple[int, str], e.ModuleQuantized] = field(default_factory=dict)
    # The modules of each layer whose quantization has begun.
    expected: dict[int, tuple[str, ...]] = field(default_factory=dict)
    layer_started: dict[int, float] = field(default_factory=dict)
    layer_done: dict[int, float] = field(default_factory=dict)
    seconds: float | None = None  # None until the artefact is finished
    failed: bool = False
    version: int = 0

    def layers_in_words(self) -> str:
        """The progress of this artefact, in the same words on every part of the screen."""
        return f"{len(self.layer_done)} of {self.layers} layers"

    def seconds_a_layer(self) -> float | None:
        """The mean seconds per finished layer, without the time to load the model; None before the first layer is
        finished.
        """
        if not self.layer_done or not self.layer_started:
            return None
        return (max(self.layer_done.values()) - min(self.layer_started.values())) / len(self.layer_done)

    def seconds_left(self, now: float) -> float | None:
        """Estimate the seconds left from the mean time of a finished layer.

        The time already spent on the current layer is subtracted. None until one layer is finished.
        """
        pace = self.seconds_a_layer()
        if pace is None:
            return None
        spent = min(pace, max(0.0, now - max(self.layer_done.values())))
        return max(0.0, pace * (self.layers - len(self.layer_done)) - spent)

    def apply(self, event: ArtefactEvent, at: float) -> None:
        self.version += 1
        match event:
            case e.LayerStarted():
                self.layer_started[event.layer] = at
                self.expected[event.layer] = event.modules
            case e.ModuleQuantized():
                self.modules[(event.layer, event.module)] = event
            case e.LayerDone():
                self.layer_done[event.layer] = at
            case e.ArtefactDone():
                self.seconds = event.seconds


def layers_left(artefacts: Sequence[ArtefactLive], now: float) -> float | None:
    """Estimate the seconds until all these artefacts, which are quantized at the same time, are finished.

    The result is None until each artefact has a finished layer.
    """
    each = [artefact.seconds_left(now) for artefact in artefacts]
    known = [left for left in each if left is not None]
    return max(known) if known and len(known) == len(each) else None
