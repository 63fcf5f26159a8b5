"""`[evaluate]`: on what the artefacts are compared with the unquantized target."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from faq_tui.core.settings.section import Count, Section


class Evaluate(Section):
    """On what the artefacts are compared with the unquantized target."""

    perplexity: tuple[str, ...] = ("pydoc",)  # "pydoc" (every Python has it), "wikitext2", or a text file
    window: Annotated[int, Field(ge=8)] = 512  # tokens a window; windows do not overlap
    prose_tokens: Count = 16384  # at most, of each text
    answer_tokens: Count = 256  # at most, of each held-out answer
    batch_size: Count = 4
    bootstrap: Annotated[int, Field(ge=100)] = 2000  # resamples for each interval
