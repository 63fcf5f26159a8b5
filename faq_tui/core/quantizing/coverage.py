"""How many calibration tokens reached each expert."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any


def coverage(losses: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tokens that reached the experts, a line a layer: fewest, median, most, and which were only rounded."""
    layers: dict[int, dict[str, Mapping[str, Any]]] = {}
    for entry in losses:
        if ".experts." in entry["module"]:
            expert = entry["module"].rpartition(".")[0]
            layers.setdefault(entry["layer"], {}).setdefault(expert, entry)
    found = []
    for layer, experts in sorted(layers.items()):
        tokens = [int(entry["samples"]) for entry in experts.values()]
        rounded = sorted(name.rpartition(".")[2] for name, entry in experts.items() if entry["loss"] is None)
        found.append(
            {
                "layer": layer,
                "experts": len(experts),
                "fewest_tokens": min(tokens),
                "median_tokens": statistics.median(tokens),
                "most_tokens": max(tokens),
                "rounded_experts": [int(name) for name in rounded if name.isdigit()],
            }
        )
    return found
