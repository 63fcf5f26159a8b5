"""The losses of one artefact as a table, layer by module, small enough for any screen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

EXPERT = re.compile(r"\.\d+(?=\.|$)")  # mlp.experts.17.gate_proj → mlp.experts.*.gate_proj

Place = tuple[int, str]  # layer, module


@dataclass
class LossTable:
    """`losses`: the largest of a place's modules (experts share one); None: all rounded without calibration."""

    layers: int = 0
    modules: list[str] = field(default_factory=list)  # in the order in which they came first
    losses: dict[Place, float | None] = field(default_factory=dict)
    working: set[Place] = field(default_factory=set)  # begun, no loss yet
    complete: bool = False

    def add(self, layer: int, module: str, loss: float | None) -> None:
        place = (layer, self._row(module))
        known = self.losses.get(place)
        self.losses[place] = max((x for x in (known, loss) if x is not None), default=None)
        self.working.discard(place)
        self.layers = max(self.layers, layer + 1)

    def expect(self, layer: int, modules: Iterable[str]) -> None:
        for module in modules:
            place = (layer, self._row(module))
            if place not in self.losses:
                self.working.add(place)

    def scale(self) -> tuple[float, float] | None:
        """From where to where most positive losses lie: a few that are far out would make all others look alike."""
        found = sorted(x for x in self.losses.values() if x is not None and x > 0 and math.isfinite(x))
        if not found:
            return None
        aside = len(found) // 20
        return found[aside], found[-1 - aside]

    def worst(self) -> tuple[Place, float] | None:
        """Where the largest loss is."""
        found = [(loss, place) for place, loss in self.losses.items() if loss is not None and math.isfinite(loss)]
        return (max(found)[1], max(found)[0]) if found else None

    def by_layer(self) -> list[float]:
        """The largest loss of each layer; NaN where not all of its modules have one yet."""
        worst = [math.nan] * self.layers
        half = {layer for layer, _module in self.working}
        for (layer, _module), loss in self.losses.items():
            if loss is not None and layer not in half and not loss <= worst[layer]:
                worst[layer] = loss
        return worst

    def _row(self, module: str) -> str:
        row = EXPERT.sub(".*", module)
        if row not in self.modules:
            self.modules.append(row)
        return row


def from_manifest(manifest: Mapping[str, Any]) -> LossTable:
    """The grid of a finished artefact. A manifest that is not as we write it gives what can be read of it."""
    grid = LossTable(complete=True)
    for entry in manifest.get("losses") or ():
        try:
            loss = entry["loss"]
            grid.add(int(entry["layer"]), str(entry["module"]), None if loss is None else float(loss))
        except (KeyError, TypeError, ValueError):
            continue
    return grid


def level_of(loss: float, low: float, high: float, levels: int) -> int:
    """0 to levels - 1, evenly on a logarithmic scale from `low` to `high`; a loss of zero is level 0."""
    if loss <= low or high <= low:
        return 0
    return min(levels - 1, int(math.log(loss / low) / math.log(high / low) * levels))
