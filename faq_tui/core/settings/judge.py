"""`[judge]`: who scores the candidates, and whose scores pick.

The names of judges, what each needs and the comments of `faq.toml` come from the judges themselves.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from faq_tui.core.extensions import JUDGES
from faq_tui.core.settings.section import Count, Section
from faq_tui.core.settings.source import LOCAL, Endpoint, checked_url

MIX = "mix"  # stands beside the names of judges, so no judge has this name


def _is_judge(name: str) -> bool:
    return name != MIX and name in JUDGES


def _known(name: str) -> str:
    if not _is_judge(name):
        *names, last = map(repr, JUDGES.names())
        raise ValueError(f"input should be {', '.join(names)} or {last}")
    return name


JudgeName = Annotated[str, AfterValidator(_known)]


class JudgeSettings(Section):
    """Who scores the candidates. Every judge's scores are a column; one of them, or a weighted mix, picks."""

    kind: JudgeName = "likelihood"  # picks, unless pick_by says otherwise
    columns: tuple[JudgeName, ...] = ()  # further judges whose scores are shown beside it
    pick_by: dict[str, float] = Field(default_factory=dict)  # judge to weight of its z-score; empty: kind picks
    length_control: bool = True  # scores that length alone moves pick without that effect
    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 16
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    mode: Literal["listwise", "pointwise"] = "listwise"  # a seed's candidates together in two orders, or one by one
    max_tokens: Count = 512  # of a reply, for each candidate that it scores
    reasoning_tokens: Count = 4000  # of a candidate: longer reasoning is cut in the middle; answers never
    max_model_len: Count | None = None  # tokens of the judge's window; None: what its server tells
    probe: Annotated[int, Field(ge=0, le=256)] = 8  # seeds on which the llm is tested before use; 0: not at all

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value == LOCAL:
            serverless = [f'"{judge.name}"' for judge in JUDGES.all() if "base_url" not in judge.required]
            asking = [f'"{judge.name}"' for judge in JUDGES.all() if "base_url" in judge.required]
            raise ValueError(f"a judge of kind {_list(asking)} needs a server; {_list(serverless)} score without one")
        return None if value is None else checked_url(value)

    @field_validator("pick_by")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        for kind, weight in value.items():
            if not _is_judge(kind):
                raise ValueError(f"no kind {kind!r}; there are {', '.join(JUDGES.names())}")
            if not math.isfinite(weight) or weight == 0:
                raise ValueError(f"the weight of {kind} must be a number other than 0")
        return value

    @model_validator(mode="after")
    def _each_has_what_it_needs(self) -> JudgeSettings:
        for kind in self.kinds():
            JUDGES.get(kind).check(self)
        return self

    def kinds(self) -> tuple[str, ...]:
        """The names of all judges of the run, each once."""
        return tuple(dict.fromkeys((self.kind, *self.pick_by, *self.columns)))

    def weights(self) -> dict[str, float]:
        """Judge to its weight in what picks."""
        return dict(self.pick_by) or {self.kind: 1.0}

    @property
    def picks_by(self) -> str:
        """The judge that picks, or `mix`."""
        weights = self.weights()
        (kind, weight), *others = weights.items()
        return MIX if others or weight < 0 else kind

    def endpoint(self) -> Endpoint:
        """The server in `[judge]`. Only for a judge that requires base_url and model."""
        assert self.base_url is not None and self.model is not None
        return Endpoint(
            base_url=self.base_url,
            model=self.model,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            retries=self.retries,
        )


def _list(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "none"


def kind_comment() -> str:
    """The comment at `kind` in a new faq.toml: every judge, and the keys that it must have."""
    return " | ".join(
        name + (f" (needs {' and '.join(required)})" if (required := JUDGES.get(name).required) else "")
        for name in JUDGES.names()
    )


def further_comments() -> str:
    """The keys of `[judge]` that every judge shares, as comments at their defaults."""
    judges: tuple[Any, ...] = JUDGES.all()
    moved = _list([judge.name for judge in judges if judge.length_matters])
    return f"""\
# columns = []                   # further judges whose scores are shown beside it: any of these
# pick_by = {{}}                   # a weighted mix picks instead: {{ likelihood = 1.0, activation = 0.5 }}
# length_control = true          # {moved} pick by their scores less what length explains
"""
