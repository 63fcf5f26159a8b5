"""`[judge]`: who marks the candidates, and whose marks pick."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from faq_tui.core.settings.section import Count, Section
from faq_tui.core.settings.source import LOCAL, Endpoint, checked_url

JudgeKind = Literal["llm", "likelihood", "activation"]
JUDGE_KINDS: tuple[JudgeKind, ...] = ("llm", "likelihood", "activation")
CONTROLLED = frozenset({"likelihood", "activation"})  # kinds that a text's length alone moves
MIX = "mix"


class Judge(Section):
    """Who marks the candidates. Every kind is a column of its own; one of them, or a weighted mix, picks."""

    kind: Annotated[JudgeKind, Field(description="what scores the candidates and picks the best")] = "likelihood"
    columns: Annotated[
        tuple[JudgeKind, ...], Field(description="further kinds whose scores are shown beside it")
    ] = ()
    pick_by: Annotated[
        dict[str, float],
        Field(
            description="{ likelihood = 1.0, activation = 0.5 } picks by a weighted mix, not by kind",
        ),
    ] = Field(default_factory=dict)
    length_control: Annotated[
        bool, Field(description="likelihood and activation pick by scores less what length explains")
    ] = True
    base_url: Annotated[
        str | None,
        Field(
            description='server of kind "llm", as are all keys below; left out: none',
            examples=["http://judge:8000/v1"],
        ),
    ] = None
    model: Annotated[
        str | None,
        Field(description="the model's name on the server; left out: none", examples=["Qwen/Qwen2.5-72B-Instruct"]),
    ] = None
    api_key_env: Annotated[
        str | None,
        Field(
            description="variable that holds the key, never the key itself; left out: no key",
            examples=["JUDGE_API_KEY"],
        ),
    ] = None
    concurrency: Annotated[int, Field(ge=1, le=4096, description="requests at once")] = 16
    retries: Annotated[int, Field(ge=0, le=100, description="further tries of one request")] = 5
    mode: Annotated[
        Literal["listwise", "pointwise"],
        Field(description="a seed's candidates together in two orders, or one by one"),
    ] = "listwise"
    max_tokens: Annotated[Count, Field(description="longest reply in tokens, for each candidate that it scores")] = (
        512
    )
    reasoning_tokens: Annotated[
        Count, Field(description="longer reasoning of a candidate is cut in the middle for the judge; answers never")
    ] = 4000
    max_model_len: Annotated[
        Count | None,
        Field(description="tokens of the judge's window; left out: as its server says", examples=[32768]),
    ] = None
    probe: Annotated[
        int, Field(ge=0, le=256, description="seeds on which the judge is tested before use; 0: no test")
    ] = 8

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value == LOCAL:
            raise ValueError('a judge of kind "llm" needs a server; "likelihood" and "activation" mark without one')
        return None if value is None else checked_url(value)

    @field_validator("pick_by")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        for kind, weight in value.items():
            if kind not in JUDGE_KINDS:
                raise ValueError(f"no kind {kind!r}; there are {', '.join(JUDGE_KINDS)}")
            if not math.isfinite(weight) or weight == 0:
                raise ValueError(f"the weight of {kind} must be a number other than 0")
        return value

    @model_validator(mode="after")
    def _llm_needs_a_server(self) -> Judge:
        if "llm" in self.kinds() and not (self.base_url and self.model):
            raise ValueError('kind "llm" needs base_url and model')
        return self

    def kinds(self) -> tuple[str, ...]:
        """Every kind that marks, each once."""
        return tuple(dict.fromkeys((self.kind, *self.pick_by, *self.columns)))

    def weights(self) -> dict[str, float]:
        """Kind to weight in what picks."""
        return dict(self.pick_by) or {self.kind: 1.0}

    @property
    def picks_by(self) -> str:
        """The kind that picks, or `mix`."""
        weights = self.weights()
        (kind, weight), *others = weights.items()
        return MIX if others or weight < 0 else kind

    def endpoint(self) -> Endpoint:
        """The judge's server. Only where kind `llm` marks."""
        assert self.base_url is not None and self.model is not None
        return Endpoint(
            base_url=self.base_url,
            model=self.model,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            retries=self.retries,
        )
