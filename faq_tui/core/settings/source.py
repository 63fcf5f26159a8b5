"""`[sources.NAME]`: the models that regenerate, and how they are asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from faq_tui.core.settings.section import EMBEDDED, Count, Fraction, Section


class Sampling(Section):
    """Sent whole with every request: what is left out would come from the server's own defaults."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.6
    top_p: Fraction = 0.95
    top_k: Annotated[int, Field(ge=-1)] = 20
    min_p: Fraction = 0.0
    max_tokens: Count = 8192
    seed: int = 0  # candidate i of a seed is sampled with seed + i


class Endpoint(Section):
    """An OpenAI-compatible server."""

    base_url: str  # http(s)://host:port/v1, or "embedded"
    model: str
    api_key_env: str | None = None  # the name of a variable, never the key
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 32
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    connect_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    idle_timeout_s: Annotated[float, Field(gt=0)] = 120.0  # between two chunks; there is no total timeout

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value != EMBEDDED and not value.startswith(("http://", "https://")):
            raise ValueError('must begin with http:// or https://, or be "embedded"')
        return value.rstrip("/")


class Source(Endpoint):
    """A model that regenerates the seeds' answers."""

    candidates: Annotated[int, Field(ge=1, le=64)] = 3
    reasoning: Literal["native", "prompted", "off"] = "native"
    sampling: Sampling = Sampling()
