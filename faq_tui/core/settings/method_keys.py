"""What each quantization method accepts, and what it does where a recipe says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# All that gptqmodel 7.7 accepts.
GROUP_SIZES = (-1, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class MethodKeys:
    """`defaults`: every key of its own that the method understands. `presets`: names of further defaults."""

    bits: tuple[int, ...]
    group_sizes: tuple[int, ...]
    defaults: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def values(self, preset: str | None) -> dict[str, Any]:
        """What a recipe of this method has where it says nothing itself."""
        group = 128 if 128 in self.group_sizes else self.group_sizes[0]
        first = {"bits": self.bits[0], "group_size": group}
        return {**first, **self.defaults, **self.presets.get(preset or "", {})}


# The FAQ paper names groups of 128 and 256 samples, INT4 and INT8, and nothing further.
PAPER: dict[str, Any] = {"group_size": 128}
EXPERTS = {"experts": "routed"}

METHOD_KEYS: dict[str, MethodKeys] = {
    "gptq": MethodKeys(
        bits=(4, 8),
        group_sizes=GROUP_SIZES,
        defaults={"sym": True, "desc_act": False, "damp_percent": 0.05, **EXPERTS},
        presets={"paper": PAPER},
    ),
    "gptaq": MethodKeys(
        bits=(4, 8),
        group_sizes=GROUP_SIZES,
        defaults={"sym": True, "desc_act": False, "damp_percent": 0.05, "alpha": 0.25, **EXPERTS},
        presets={"paper": PAPER},
    ),
    "awq": MethodKeys(
        bits=(4,),
        group_sizes=tuple(size for size in GROUP_SIZES if size > 0),
        defaults={"sym": False, **EXPERTS},
        presets={"paper": PAPER},
    ),
    "spqr": MethodKeys(
        bits=(4, 3, 8),
        group_sizes=GROUP_SIZES,
        # Damping 0.01 is ours; 1.0 is the preset in the README of the authors' own code.
        defaults={"damp_percent": 0.01, "outlier_threshold": 0.2, "scale_bits": 3, "scale_group": 16},
        presets={"paper": PAPER, "default": {}, "reference": {"damp_percent": 1.0}},
    ),
    "w8a8": MethodKeys(bits=(8,), group_sizes=(-1,), defaults={"damp_percent": 0.01}, presets={"paper": {}}),
}
