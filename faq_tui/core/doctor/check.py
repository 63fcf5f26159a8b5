"""One finding of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""  # what to do; empty where all is well
