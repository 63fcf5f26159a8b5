"""`[quantize]`: how artefacts are made, whatever the recipe; it changes none of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from faq_tui.core.settings.section import Section


class Quantize(Section):
    """Where the quantizer can go on after a kill or a stop (gptq, of llama and qwen3_moe)."""

    checkpoint_s: Annotated[float, Field(ge=0.0)] = 600.0  # from one checkpoint to the next; 0: after each layer
