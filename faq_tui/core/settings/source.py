"""`[sources.NAME]`: the models that regenerate, and how they are asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from faq_tui.core.settings.section import EMBEDDED, Count, Fraction, Section

LOCAL = "local"  # as a base_url: the model is loaded here, in a process of its own
TARGET = "target"  # as the model of a local source: the run's own target

OnUnfit = Literal["retry", "other_seed", "drop"]


class Sampling(Section):
    """Sent whole with every request: what is left out would come from the server's own defaults."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.6
    top_p: Fraction = 0.95
    top_k: Annotated[int, Field(ge=-1)] = 20
    min_p: Fraction = 0.0
    max_tokens: Count = 8192
    seed: int = 0  # candidate i of a seed is sampled with seed + i


class Price(Section):
    """What a million tokens cost, in whatever money the reader counts in."""

    input: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    output: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class Endpoint(Section):
    """An OpenAI-compatible server, or several that serve the same model."""

    base_url: str  # http(s)://host:port/v1, "embedded", or "local"; in faq.toml also a list of them
    also_at: tuple[str, ...] = ()  # further servers of the same model: what a list in base_url is read into
    model: str
    api_key_env: str | None = None  # the name of a variable, never the key
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 32  # requests at once to each server
    retries: Annotated[int, Field(ge=0, le=100)] = 5  # further tries of one request
    retry_wait_s: Annotated[float, Field(ge=0, le=60)] = 0.5  # up to this before the second try, then doubling
    connect_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    idle_timeout_s: Annotated[float, Field(gt=0)] = 120.0  # between two chunks; there is no total timeout

    @model_validator(mode="before")
    @classmethod
    def _several(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("base_url"), list | tuple):
            return raw
        urls = list(raw["base_url"])
        if not urls:
            raise ValueError("base_url: name one server at least")
        return {**raw, "base_url": urls[0], "also_at": [*urls[1:], *raw.get("also_at", ())]}

    @field_validator("base_url")
    @classmethod
    def _first(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("also_at")
    @classmethod
    def _others(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_url(url) for url in value)

    @model_validator(mode="after")
    def _kinds(self) -> Endpoint:
        if LOCAL in self.also_at or (self.base_url == LOCAL and self.also_at):
            raise ValueError('base_url "local" stands alone: a list names servers')
        if len(set(self.urls)) < len(self.urls):
            raise ValueError("base_url names a server twice: raise concurrency instead")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """Every server, in the order of the settings."""
        return (self.base_url, *self.also_at)


class Source(Endpoint):
    """A model that regenerates the seeds' answers."""

    candidates: Annotated[int, Field(ge=1, le=64)] = 3
    files: str | None = None  # a folder with its config or tokenizer, for the family check; None: by its name
    reasoning: Literal["native", "prompted", "off"] = "native"
    sampling: Sampling = Sampling()
    # What becomes of a candidate that is cut off (first) or otherwise unfit (second): `retry` asks once more with
    # retry_room times max_tokens, `other_seed` once more with another sampling seed, `drop` leaves it. Unfit ones
    # are kept and shown, and never picked.
    on_truncated: OnUnfit = "retry"
    on_flagged: OnUnfit = "other_seed"
    retry_room: Annotated[float, Field(ge=1.0, le=16.0)] = 2.0
    price: Price | None = None  # per million tokens; with a price, regenerating asks before it spends
    confirm_over_tokens: Annotated[int, Field(ge=0)] = 0  # ask above this estimate, too; 0: only when priced

    @property
    def is_local(self) -> bool:
        return self.base_url == LOCAL


def checked_url(value: str) -> str:
    """A base_url as it is used. ValueError says what is wrong with it."""
    if value in (EMBEDDED, LOCAL):
        return value
    if not value.startswith(("http://", "https://")):
        raise ValueError('must begin with http:// or https://, or be "embedded" or "local"')
    try:
        parts = urlsplit(value)
        if not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError("is no URL: it needs a host, and a port below 65536 if any") from None
    return value.rstrip("/")


def name_the_target(raw: Any) -> Any:
    """The whole file, before it is checked: a local source of the model "target" gets the target's own name,

    so that its candidates go stale with the target.
    """
    try:
        model = raw["target"]["model"]
        sources = {
            name: {**source, "model": model}
            if isinstance(source, dict) and (source.get("base_url"), source.get("model")) == (LOCAL, TARGET)
            else source
            for name, source in raw["sources"].items()
        }
    except (TypeError, KeyError, AttributeError):
        return raw  # the checks say what is wrong with it
    return {**raw, "sources": sources}
