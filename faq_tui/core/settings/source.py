"""`[sources.NAME]`: the models that regenerate answers, and how requests to them are sent."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from faq_tui.core.settings.section import EMBEDDED, Count, Fraction, Section

LOCAL = "local"  # as a base_url: the model is loaded here, in a process of its own
TARGET = "target"  # as the model of a local source: the run's own target

OnUnfit = Literal["retry", "other_seed", "drop"]


class Sampling(Section):
    """Sent completely with every request: a missing value would come from the server's defaults."""

    temperature: Annotated[
        float, Field(ge=0.0, le=2.0, description="how evenly tokens are drawn; 0 takes the likeliest")
    ] = 0.6
    top_p: Annotated[Fraction, Field(description="draws from the likeliest tokens of this probability together")] = (
        0.95
    )
    top_k: Annotated[int, Field(ge=-1, description="draws from so many of the likeliest tokens; -1: from all")] = 20
    min_p: Annotated[
        Fraction, Field(description="least probability of a token, as a share of the likeliest one's")
    ] = 0.0
    max_tokens: Annotated[Count, Field(description="longest reply, in tokens")] = 8192
    seed: Annotated[int, Field(description="candidate i of a seed is sampled with seed + i")] = 0


class Price(Section):
    """Price per million tokens, in any currency."""

    input: Annotated[float, Field(ge=0, allow_inf_nan=False, description="of a million tokens that are sent")] = 0.0
    output: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="of a million tokens that are received")
    ] = 0.0


class Endpoint(Section):
    """An OpenAI-compatible server, or several that serve the same model."""

    # In faq.toml base_url may be a list of servers: the first is read into base_url, the others into also_at.
    base_url: Annotated[str, Field(description='URL that ends in /v1, a list of them, "embedded" or "local"')]
    also_at: Annotated[
        tuple[str, ...], Field(description="URLs of further servers of the same model; base_url may be a list, too")
    ] = ()
    model: Annotated[str, Field(description="the model's name on the server")]
    api_key_env: Annotated[
        str | None,
        Field(
            description="variable that holds the key, never the key itself; left out: no key", examples=["API_KEY"]
        ),
    ] = None
    concurrency: Annotated[int, Field(ge=1, le=4096, description="requests at once to each server")] = 32
    retries: Annotated[int, Field(ge=0, le=100, description="further tries of one request")] = 5
    retry_wait_s: Annotated[
        float, Field(ge=0, le=60, description="longest wait before the second try in seconds; it doubles from there")
    ] = 0.5
    connect_timeout_s: Annotated[float, Field(gt=0, description="longest wait for a connection, in seconds")] = 10.0
    idle_timeout_s: Annotated[
        float, Field(gt=0, description="longest wait for the next piece of a reply, in seconds")
    ] = 120.0

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

    candidates: Annotated[int, Field(ge=1, le=64, description="answers to each seed")] = 3
    files: Annotated[
        str | None,
        Field(
            description="folder with its config or tokenizer for the family check; left out: by its name",
            examples=["elder-files"],
        ),
    ] = None
    reasoning: Annotated[
        Literal["native", "prompted", "off"], Field(description="how the model is made to reason before it answers")
    ] = "native"
    sampling: Annotated[
        Sampling, Field(description="how replies are sampled; all of it is sent with every request")
    ] = Sampling()
    # `retry` asks once more with `retry_room` times max_tokens, `other_seed` once more with another sampling seed,
    # `drop` does neither. An unusable candidate is stored and shown, and never picked.
    on_truncated: Annotated[OnUnfit, Field(description="when a candidate is cut off or empty")] = "retry"
    on_flagged: Annotated[OnUnfit, Field(description="when it loops, refuses or changes the language")] = "other_seed"
    retry_room: Annotated[float, Field(ge=1.0, le=16.0, description="a retry has so many times max_tokens")] = 2.0
    price: Annotated[
        Price | None,
        Field(
            description="of a million tokens; with it, regenerating asks first; left out: free",
            examples=[{"input": 0.4, "output": 1.6}],
        ),
    ] = None
    confirm_over_tokens: Annotated[
        int, Field(ge=0, description="asks before more tokens than this are spent; 0: only if there is a price")
    ] = 0

    @property
    def is_local(self) -> bool:
        return self.base_url == LOCAL


def checked_url(value: str) -> str:
    """The normalized base_url. Raises ValueError that says what is wrong with it."""
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
    """Put the target's name into local sources with the model "target", before the file is checked.

    So their candidates go stale when the target changes.
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
        return raw  # the checks will report the mistake
    return {**raw, "sources": sources}
