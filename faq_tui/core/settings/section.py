"""The base class of every section of `faq.toml`: unknown keys are refused, and values are frozen.

Each key has a `Field` with a short description, which becomes its comment in a new `faq.toml` (`settings.comments`).
A key that is None by default has an example, and its description ends in `; left out: ` and what leaving it out
means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

EMBEDDED = "embedded"  # as a model or base_url: the small model and server that ship with faq-tui
BASELINE = "baseline"
TOKENS_SUFFIX = "-tokens"

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class DescribedBy:
    """In a key's annotation: its comment is what `function` returns, since it depends on what is installed."""

    function: Callable[[], str]
