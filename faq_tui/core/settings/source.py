"""Settings in `[sources.NAME]`: the models that regenerate answers, and how requests to them are sent."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from faq_tui.core.base.secrets import without_credentials
from faq_tui.core.settings.prompt_file import QuestionFile, TextFile
from faq_tui.core.settings.request_keys import (
    PATIENCE_S,
    REQUEST_KEYS,
    ChatTemplateKwargs,
    ExtraBody,
    ExtraHeaders,
    LeaveOut,
    PatienceS,
)
from faq_tui.core.settings.section import EMBEDDED, AddedLater, Count, Fraction, Section

LOCAL = "local"  # value of base_url if the model is loaded on this machine in a child process
TARGET = "target"  # value of `model` if a local source uses the run's target

OFF: Literal["off"] = "off"  # if a sampling key has this value, requests do not contain the key
T = TypeVar("T")


def _tag(value: Any) -> str:
    return OFF if value == OFF else ""


OrOff = Annotated[Annotated[T, Tag("")] | Annotated[Literal["off"], Tag(OFF)], Discriminator(_tag)]
MOST_IF_OFF = 8192  # maximum length of a reply, in tokens, if max_tokens is "off"

OnUnfit = Literal["retry", "other_seed", "drop"]


class Sampling(Section):
    """How replies are sampled. Requests contain all values that are not "off"."""

    temperature: Annotated[
        OrOff[Annotated[float, Field(ge=0.0, le=2.0)]],
        Field(description="sampling temperature; 0 means always the likeliest token"),
    ] = 0.6
    top_p: Annotated[
        OrOff[Fraction],
        Field(description="sample only from the likeliest tokens that together reach this probability"),
    ] = 0.95
    top_k: Annotated[
        OrOff[Annotated[int, Field(ge=-1)]],
        Field(description="sample only from this many likeliest tokens; -1 means from all"),
    ] = 20
    min_p: Annotated[
        OrOff[Fraction],
        Field(description="tokens below this share of the likeliest token's probability are not sampled"),
    ] = 0.0
    max_tokens: Annotated[
        OrOff[Count],
        Field(
            description=f'longest reply in tokens; "off" sends no limit, and faq-tui cuts the reply at {MOST_IF_OFF}'
        ),
    ] = 8192
    seed: Annotated[
        OrOff[int], Field(description="random seed; candidate i of a question is sampled with seed + i")
    ] = 0
    presence_penalty: Annotated[
        OrOff[Annotated[float, Field(ge=-2.0, le=2.0)]],
        Field(description="penalty for tokens that the text already contains"),
        AddedLater(),
    ] = OFF
    repetition_penalty: Annotated[
        OrOff[Annotated[float, Field(gt=0.0, le=10.0)]],
        Field(description="factor that makes repeated tokens less likely; 1 changes nothing"),
        AddedLater(),
    ] = OFF

    def neutral(self) -> dict[str, Any]:
        """The sampling values for a model that runs on this machine.

        A value that is "off" is replaced by a neutral value, for example 1.0 for temperature.
        """
        neutral = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0}
        neutral |= {"max_tokens": self.most_tokens, "seed": self.first_seed}
        return {
            name: neutral.get(name, value) if value == OFF else value for name, value in self.model_dump().items()
        }

    @property
    def most_tokens(self) -> int:
        """The maximum length of a reply in tokens. This limit applies even if requests do not contain a limit."""
        return MOST_IF_OFF if self.max_tokens == OFF else self.max_tokens

    @property
    def first_seed(self) -> int:
        """The sampling seed of the first candidate. This seed is defined even if requests do not contain a seed."""
        return 0 if self.seed == OFF else self.seed


class Price(Section):
    """Price per million tokens, in any currency."""

    input: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="price of a million tokens that are sent")
    ] = 0.0
    output: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="price of a million tokens that are received")
    ] = 0.0


class Endpoint(Section):
    """An OpenAI-compatible server, or several servers with the same model."""

    # In faq.toml, base_url may be a list of servers: the first becomes base_url, the others become also_at.
    base_url: Annotated[str, Field(description='URL that ends in /v1, a list of URLs, "embedded" or "local"')]
    also_at: Annotated[
        tuple[str, ...],
        Field(description="URLs of further servers of the same model; base_url may also be a list of URLs"),
    ] = ()
    model: Annotated[str, Field(description="the model's name on the server")]
    api_key_env: Annotated[
        str | None,
        Field(
            description="environment variable with the API key, never the key itself; default: no key",
            examples=["API_KEY"],
        ),
    ] = None
    concurrency: Annotated[int, Field(ge=1, le=4096, description="number of concurrent requests to each server")] = 32
    retries: Annotated[int, Field(ge=0, le=100, description="how many times a failed request is repeated")] = 5
    retry_wait_s: Annotated[
        float,
        Field(
            ge=0,
            le=60,
            description="longest wait before the first retry, in seconds; each further retry doubles this time",
        ),
    ] = 0.5
    connect_timeout_s: Annotated[float, Field(gt=0, description="longest wait for a connection, in seconds")] = 10.0
    idle_timeout_s: Annotated[
        float, Field(gt=0, description="longest wait for the next part of a reply, in seconds")
    ] = 120.0
    patience_s: PatienceS = PATIENCE_S
    extra_body: ExtraBody = Field(default_factory=dict)
    extra_headers: ExtraHeaders = Field(default_factory=dict)
    chat_template_kwargs: ChatTemplateKwargs = Field(default_factory=dict)
    leave_out: LeaveOut = ()

    @model_validator(mode="before")
    @classmethod
    def _several(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("base_url"), list | tuple):
            return raw
        urls = list(raw["base_url"])
        if not urls:
            raise ValueError("`base_url`: give at least one server")
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
            raise ValueError('`base_url` "local" cannot be in a list: a list must name servers')
        if len(set(self.urls)) < len(self.urls):
            raise ValueError(
                "`base_url` names a server twice: remove one of the two, and raise `concurrency` instead"
            )
        return self

    @property
    def shown_url(self) -> str:
        """`base_url` without the user, the password and the query, for messages."""
        return without_credentials(self.base_url)

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of all servers, in the order of the settings."""
        return (self.base_url, *self.also_at)


class Source(Endpoint):
    """A model that regenerates the seeds' answers."""

    candidates: Annotated[int, Field(ge=1, le=64, description="number of answers to each seed")] = 3
    files: Annotated[
        str | None,
        Field(
            description="folder with the model's files for the family check; default: found by the model's name",
            examples=["elder-files"],
        ),
    ] = None
    reasoning: Annotated[
        Literal["native", "prompted", "off"],
        Field(description="how the model is made to reason"),
    ] = "native"
    prompt: Annotated[
        QuestionFile | None,
        Field(
            description="text file with the user's turn, which must contain {question}; default: the question alone",
            examples=["prompt.txt"],
        ),
        AddedLater(),
    ] = None
    system: Annotated[
        TextFile | None,
        Field(
            description="text file for the system turn; default: only the system turn of the seed",
            examples=["system.txt"],
        ),
        AddedLater(),
    ] = None
    sampling: Annotated[
        Sampling,
        Field(description='how replies are sampled; a value is not sent if it is "off"'),
    ] = Sampling()
    # `retry` requests the candidate once more, with max_tokens multiplied by `retry_room`. `other_seed` requests the
    # candidate once more with another sampling seed. `drop` sends no second request. An unusable candidate is stored
    # and shown, but never picked.
    on_truncated: Annotated[OnUnfit, Field(description="what to do if a candidate is cut off or empty")] = "retry"
    on_flagged: Annotated[
        OnUnfit, Field(description="what to do if a candidate is unusable, but neither cut off nor empty")
    ] = "other_seed"
    retry_room: Annotated[
        float, Field(ge=1.0, le=16.0, description="a retry uses max_tokens multiplied by this number")
    ] = 2.0
    price: Annotated[
        Price | None,
        Field(
            description="price per million tokens; with a price, faq-tui asks before regenerating; default: free",
            examples=[{"input": 0.4, "output": 1.6}],
        ),
    ] = None
    confirm_over_tokens: Annotated[
        int,
        Field(
            ge=0,
            description="faq-tui asks before it spends more tokens than this; with 0, it asks only if a price is set",
        ),
    ] = 0

    @model_validator(mode="after")
    def _without_server(self) -> Source:
        if self.base_url != LOCAL:
            return self
        sampling = ("presence_penalty", "repetition_penalty")
        ignored = [name for name in sampling if getattr(self.sampling, name) != OFF]
        ignored += [name for name in REQUEST_KEYS if name != "chat_template_kwargs" and getattr(self, name)]
        if ignored:
            raise ValueError(f'`base_url` "local" has no server, so it cannot use `{ignored[0]}`: remove this key')
        return self

    @property
    def is_local(self) -> bool:
        return self.base_url == LOCAL


def checked_url(value: str) -> str:
    """The base_url in its normal form. Raises ValueError if the URL is invalid; the message states the mistake."""
    if value in (EMBEDDED, LOCAL):
        return value
    if not value.startswith(("http://", "https://")):
        raise ValueError('must begin with http:// or https://, or be "embedded" or "local"')
    try:
        parts = urlsplit(value)
        if not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError("is not a URL: it needs a host name, and any port must be below 65536") from None
    return value.rstrip("/")


def name_the_target(raw: Any) -> Any:
    """In local sources, replace the model "target" by the target's name.

    The function runs before the settings are checked. So the candidates of a local source become stale when the
    target changes.
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
        return raw  # `raw` has a wrong form; the schema reports this later
    return {**raw, "sources": sources}
