"""What an engine says of the model that it wrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    average_bits: float  # over the quantized weights, with all that decoding them takes
    facts: dict[str, Any] = field(default_factory=dict)  # further entries of the manifest
