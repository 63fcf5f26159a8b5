"""Arrange the losses of one artefact as a table of layers and modules. All experts of a layer share one cell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# This pattern matches the number of an expert in a name such as mlp.experts.17.gate_proj. The table shows * instead
# of the number.
EXPERT = re.compile(r"\.\d+(?=\.|$)")

Place = tuple[int, str]  # layer, module


@dataclass
class LossTable:
    """The losses of one artefact. All experts of a layer share a cell, which holds their largest loss.

    A cell of `losses` is None if all modules of the cell were rounded without calibration.
    """

    layers: int = 0
    modules: list[str] = field(default_factory=list)  # names of modules, in the order in which they first appeared
    losses: dict[Place, float | None] = field(default_factory=dict)
    # modules that are being quantized and have no loss yet
    working: set[Place] = field(default_factory=set)
    complete: bool = False

    def add(self, layer: int, module: str, loss: float | None) -> None:
        cell = (layer, self._row(module))
        known = self.losses.get(cell)
        self.losses[cell] = max((x for x in (known, loss) if x is not None), default=None)
        self.working.discard(cell)
        self.layers = max(self.layers, layer + 1)

    def expect(self, layer: int, modules: Iterable[str]) -> None:
        for module in modules:
            cell = (layer, self._row(module))
            if cell not in self.losses:
                self.working.add(cell)

    def scale(self) -> tuple[float, float] | None:
        """The range of the positive losses, without outliers.

        The colours of the table cover this range. If the range included outliers, all other losses would have
        almost the same colour.
        """
        positive = sorted(x for x in self.losses.values() if x is not None and x > 0 and math.isfinite(x))
        if not positive:
            return None
        aside = len(positive) // 20
        return positive[aside], positive[-1 - aside]

    def worst(self) -> tuple[Place, float] | None:
        """The cell with the largest loss, and this loss."""
        known = [(loss, cell) for cell, loss in self.losses.items() if loss is not None and math.isfinite(loss)]
        return (max(known)[1], max(known)[0]) if known else None

    def by_layer(self) -> list[float]:
        """The largest loss of each layer. The value of a layer is NaN until all modules of the layer have a loss."""
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
    """The table of a finished artefact. If the manifest is malformed, only its readable entries are used."""
    grid = LossTable(complete=True)
    for entry in manifest.get("losses") or ():
        try:
            loss = entry["loss"]
            grid.add(int(entry["layer"]), str(entry["module"]), None if loss is None else float(loss))
        except (KeyError, TypeError, ValueError):
            continue
    return grid


def level_of(loss: float, low: float, high: float, levels: int) -> int:
    """The level (0 to levels - 1) of a loss on a logarithmic scale from `low` to `high`. Zero has level 0."""
    if loss <= low or high <= low:
        return 0
    return min(levels - 1, int(math.log(loss / low) / math.log(high / low) * levels))
