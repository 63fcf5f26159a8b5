"""What every section of `faq.toml` shares: unknown keys are refused, values are read once."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

EMBEDDED = "embedded"  # as a model or base_url: the small model and server that ship with faq-tui
BASELINE = "baseline"
TOKENS_SUFFIX = "-tokens"

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
