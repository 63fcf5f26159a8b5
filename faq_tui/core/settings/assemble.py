"""`[assemble]`: how picked conversations become calibration sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from faq_tui.core.settings.section import Section


class Assemble(Section):
    """How a picked conversation becomes token ids."""

    max_tokens: Annotated[int, Field(ge=16)] = 2048
    overflow: Literal["keep_answer", "head", "tail", "drop"] = "keep_answer"
    common_seeds: bool = True  # every set holds the seeds that all have a sample of: equal samples compare
