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

    kind: JudgeKind = "likelihood"  # picks, unless pick_by says otherwise
    columns: tuple[JudgeKind, ...] = ()  # further kinds whose marks are shown beside it
    pick_by: dict[str, float] = Field(default_factory=dict)  # kind to weight of its z-score; empty: kind picks
    length_control: bool = True  # likelihood and activation pick by their marks less what length explains
    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 16
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    mode: Literal["listwise", "pointwise"] = "listwise"  # a seed's candidates together in two orders, or one by one
    max_tokens: Count = 512  # of a reply, for each candidate that it marks
    reasoning_tokens: Count = 4000  # of a candidate: longer reasoning is cut in the middle; answers never
    max_model_len: Count | None = None  # tokens of the judge's window; None: what its server tells
    probe: Annotated[int, Field(ge=0, le=256)] = 8  # seeds on which the llm is tested before use; 0: not at all

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
