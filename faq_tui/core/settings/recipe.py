"""`[[recipes]]`: how the target is quantized."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from faq_tui.core.settings.section import Section


class Recipe(Section):
    """One way to quantize, on each of its sets."""

    method: Literal["gptq"] = "gptq"
    bits: Literal[4, 8] = 4
    group_size: Literal[-1, 16, 32, 64, 128, 256, 512, 1024] = 128  # -1: one group a row
    sets: tuple[str, ...] | None = None  # None: baseline and every source, each also at equal tokens
    sym: bool = True
    desc_act: bool = False
    damp_percent: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05

    def folder(self, set_name: str) -> str:
        """Name of the artefact's folder under `models/`."""
        group = "c" if self.group_size == -1 else str(self.group_size)
        return f"{self.method}-w{self.bits}g{group}-{set_name}"
