"""Settings in `[judge]`: which judges score the candidates, and which scores decide the pick.

The names of the judges, their required keys and their comments in `faq.toml` come from the registry of judges.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from faq_tui.core.base.text import in_a_row
from faq_tui.core.extensions import JUDGES
from faq_tui.core.settings.prompt_file import TextFile
from faq_tui.core.settings.request_keys import (
    PATIENCE_S,
    REQUEST_KEYS,
    ChatTemplateKwargs,
    ExtraBody,
    ExtraHeaders,
    LeaveOut,
    PatienceS,
)
from faq_tui.core.settings.section import AddedLater, Count, DescribedBy, Section
from faq_tui.core.settings.source import LOCAL, Endpoint, checked_url

MIX = "mix"  # this name is reserved, so no judge may have it


def _is_judge(name: str) -> bool:
    return name != MIX and name in JUDGES


def _known(name: str) -> str:
    if not _is_judge(name):
        *names, last = map(repr, JUDGES.names())
        raise ValueError(f"input should be {', '.join(names)} or {last}")
    return name


JudgeName = Annotated[str, AfterValidator(_known)]


def _list(words: list[str]) -> str:
    return in_a_row(words) or "none"


def _every_judge() -> str:
    """The names of all judges, each followed by the keys that it requires."""
    return " | ".join(
        name + (f" (needs {' and '.join(required)})" if (required := JUDGES.get(name).required) else "")
        for name in JUDGES.names()
    )


def _moved_by_length() -> str:
    judges: tuple[Any, ...] = JUDGES.all()
    return (
        "if true, the effect of length is removed from the scores of "
        f"{_list([judge.name for judge in judges if judge.length_matters])} before the pick"
    )


class JudgeSettings(Section):
    """The judges.

    The scores of one judge form a column. Either one column decides the pick, or a weighted mean of several columns.
    """

    kind: Annotated[
        JudgeName, Field(description="the judge whose scores decide the pick"), DescribedBy(_every_judge)
    ] = "likelihood"
    columns: Annotated[
        tuple[JudgeName, ...], Field(description="further judges; their scores are shown, but do not decide the pick")
    ] = ()
    pick_by: Annotated[
        dict[str, float],
        Field(
            description="weights of judges, such as { likelihood = 1.0, activation = 0.5 }; the mix decides the pick",
        ),
    ] = Field(default_factory=dict)
    length_control: Annotated[
        bool,
        Field(description="if true, the effect of length is removed from the scores before the pick"),
        DescribedBy(_moved_by_length),
    ] = True
    base_url: Annotated[
        str | None,
        Field(
            description='URL of the server; this and all keys below are for kind "llm"; default: none',
            examples=["http://judge:8000/v1"],
        ),
    ] = None
    model: Annotated[
        str | None,
        Field(description="the model's name on the server; default: none", examples=["Qwen/Qwen2.5-72B-Instruct"]),
    ] = None
    api_key_env: Annotated[
        str | None,
        Field(
            description="environment variable with the API key, never the key itself; default: no key",
            examples=["JUDGE_API_KEY"],
        ),
    ] = None
    concurrency: Annotated[int, Field(ge=1, le=4096, description="requests at once")] = 16
    retries: Annotated[int, Field(ge=0, le=100, description="how many times a failed request is repeated")] = 5
    patience_s: PatienceS = PATIENCE_S
    extra_body: ExtraBody = Field(default_factory=dict)
    extra_headers: ExtraHeaders = Field(default_factory=dict)
    chat_template_kwargs: ChatTemplateKwargs = Field(default_factory=dict)
    leave_out: LeaveOut = ()
    mode: Annotated[
        Literal["listwise", "pointwise"],
        Field(
            description="judge a seed's candidates one by one (pointwise), or together and in two orders (listwise)"
        ),
    ] = "listwise"
    rubric: Annotated[
        TextFile | None,
        Field(description="text file with the criteria; default: the criteria of faq-tui", examples=["rubric.txt"]),
        AddedLater(),
    ] = None
    max_tokens: Annotated[
        Count, Field(description="longest reply of the judge, in tokens per candidate in the request")
    ] = 512
    reasoning_tokens: Annotated[
        Count,
        Field(
            description="longest reasoning that the judge sees, in tokens; the middle of longer reasoning is left out"
        ),
    ] = 4000
    max_model_len: Annotated[
        Count | None,
        Field(
            description="size of the judge's context window in tokens; default: the value that its server reports",
            examples=[32768],
        ),
    ] = None
    probe: Annotated[
        int,
        Field(ge=0, le=256, description="number of seeds on which the judge is tested before use; 0 means no test"),
    ] = 8

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value == LOCAL:
            serverless = [f'"{judge.name}"' for judge in JUDGES.all() if "base_url" not in judge.required]
            asking = [f'"{judge.name}"' for judge in JUDGES.all() if "base_url" in judge.required]
            raise ValueError(
                f"{_list(serverless)} need no server, but a judge of kind {_list(asking)} needs a server's URL"
            )
        return None if value is None else checked_url(value)

    @field_validator("pick_by")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        for kind, weight in value.items():
            if not _is_judge(kind):
                raise ValueError(f"there is no judge {kind!r}; the judges are {', '.join(JUDGES.names())}")
            if not math.isfinite(weight) or weight == 0:
                raise ValueError(f"the weight of {kind} must be a number other than 0")
        return value

    @model_validator(mode="after")
    def _each_has_what_it_needs(self) -> JudgeSettings:
        for kind in self.kinds():
            JUDGES.get(kind).check(self)
        return self

    def kinds(self) -> tuple[str, ...]:
        """The names of the run's judges. Each name is listed once."""
        return tuple(dict.fromkeys((self.kind, *self.pick_by, *self.columns)))

    def weights(self) -> dict[str, float]:
        """The weight of each judge in the score that decides the pick."""
        return dict(self.pick_by) or {self.kind: 1.0}

    @property
    def picks_by(self) -> str:
        """The name of the judge that decides the pick, or `mix`."""
        weights = self.weights()
        (kind, weight), *others = weights.items()
        return MIX if others or weight < 0 else kind

    def endpoint(self) -> Endpoint:
        """The server in `[judge]`. Call this method only for a judge that requires base_url and model."""
        assert self.base_url is not None and self.model is not None
        endpoint = Endpoint(
            base_url=self.base_url,
            model=self.model,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            retries=self.retries,
            **{name: getattr(self, name) for name in REQUEST_KEYS},
        )
        if "patience_s" not in self.model_fields_set:  # `AnsweredServers` checks if faq.toml sets it
            return endpoint
        return endpoint.model_copy(update={"patience_s": self.patience_s})
