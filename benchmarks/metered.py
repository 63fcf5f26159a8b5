"""Measure the cost of each quantization in a run's pipeline from its events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from watched import Watched, cost_row

from faq_tui.core.models.target import find_target
from faq_tui.core.quantizing.layer_profile import profile_of
from faq_tui.core.quantizing.output import read_manifest
from faq_tui.core.run.events import ArtefactDone, ArtefactStarted, Event, LayerDone, LayerStarted, StageProgress
from faq_tui.core.run.run import open_run


class Meter:
    """Reads the events of quantizations and stores the cost of each."""

    def __init__(self, run: Path, device: str) -> None:
        self.run, self.device = run, device
        self.path = run / "costs.json"
        self._seen: Watched | None = None
        self._layers = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageProgress) and event.stage == "quantize" and event.detail:
            self.end()
            self._seen = Watched(self.device)
        elif isinstance(event, ArtefactStarted):
            self._layers = event.layers
        elif self._seen is None:
            return
        elif isinstance(event, LayerStarted):
            self._seen.layer()
        elif isinstance(event, LayerDone) and event.layer == self._layers - 1:
            self._seen.saving()
        elif isinstance(event, ArtefactDone):
            seen, self._seen = self._seen, None
            seen.end(whole=True)
            self.path.write_text(json.dumps(self.costs() | {event.artefact: self._row(event.artefact, seen)}))

    def end(self) -> None:
        """End the current measurement. Used for an artefact that was not finished, or that shares the weights of
        another artefact."""
        if self._seen is not None:
            self._seen.end(whole=False)
            self._seen = None

    def costs(self) -> dict[str, dict[str, Any]]:
        """Maps each artefact to its cost. Costs that earlier calls of this program measured are included."""
        found: dict[str, dict[str, Any]] = json.loads(self.path.read_text()) if self.path.is_file() else {}
        return found

    def _row(self, artefact: str, seen: Watched) -> dict[str, Any]:
        body = read_manifest(self.run / "models" / artefact) or {}
        seen.gpu_allocated_bytes = int(1e6 * body["peak_memory_mb"]) if self.device == "cuda" else None
        with open_run(self.run) as run:
            target = find_target(run, print)
        set_name = body["calibration"]["set"]
        lines = (self.run / "calibration" / f"{set_name}.jsonl").read_text(encoding="utf-8").splitlines()
        lengths = [len(json.loads(line)["input_ids"]) for line in lines]
        profile = profile_of(Path(target.path), len(lengths), sum(lengths), max(lengths))
        method, bits = body["recipe"]["method"], body["recipe"]["bits"]
        key = f"{method}@walk" if body.get("engine") == "walk" else method
        return {**cost_row(key, target.name, profile, seen), "bits": bits, "set": set_name}
