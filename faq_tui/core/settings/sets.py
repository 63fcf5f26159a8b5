"""`[sets.NAME]`: calibration sets beyond the default ones, or a default one made otherwise."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from faq_tui.core.settings.section import BASELINE, Count, Section

Kind = Literal["seed", "raw", "template", "original"]
Share = Annotated[float, Field(gt=0.0, le=1.0)]

# Known without a section of their own: naming one in a recipe's `sets` is enough.
KINDS_BY_NAME: dict[str, Kind] = {f"{BASELINE}-raw": "raw", f"{BASELINE}-original": "original"}


class Match(Section):
    """The sets whose size this one takes. Both: each sample is cut, so that samples and tokens agree."""

    samples: Annotated[
        str | None, Field(description="set with the number of samples; left out: not matched", examples=["baseline"])
    ] = None
    tokens: Annotated[
        str | None, Field(description="set with the number of tokens; left out: not matched", examples=["baseline"])
    ] = None

    def names(self) -> set[str]:
        return {name for name in (self.samples, self.tokens) if name is not None}


class SetPlan(Section):
    """One calibration set: whose answers, in which form, which of them, how many."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    made_from: Annotated[
        dict[str, Share] | None,
        Field(
            alias="from",
            description='a source or "baseline", or shares; left out: its name, else "baseline"',
            examples=[{"elder": 0.5, "baseline": 0.5}],
        ),
    ] = None
    # seed: the chat template, with the original answer where there is one; raw: the texts without a template;
    # template: the question only; original: as seed, but only the seeds that have an answer.
    kind: Annotated[
        Kind | None, Field(description="how the baseline is written; left out: seed", examples=["seed"])
    ] = None
    answer_only: Annotated[bool, Field(description="true leaves the reasoning out")] = False
    tokens_per_sample: Annotated[
        int | None,
        Field(ge=16, description="longer samples lose their end; left out: as long as they are", examples=[256]),
    ] = None
    select: Annotated[
        Literal["judge", "diversity", "coverage"] | None,
        Field(description="the order that is cut; left out: as they come", examples=["diversity"]),
    ] = None
    count: Annotated[Count | None, Field(description="samples; left out: all", examples=[128])] = None
    match: Annotated[
        Match,
        Field(
            description="sets whose samples or tokens it is cut to; left out: none", examples=[{"tokens": "baseline"}]
        ),
    ] = Match()

    @field_validator("made_from", mode="before")
    @classmethod
    def _all_of_one(cls, value: Any) -> Any:
        return {value: 1.0} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _agrees(self) -> SetPlan:
        shares = self.made_from
        if shares is not None and abs(sum(shares.values()) - 1.0) > 1e-6:
            raise ValueError(f"from: the shares add up to {sum(shares.values()):g}, not to 1")
        if shares is not None and self.kind is not None and BASELINE not in shares:
            raise ValueError(f'kind is how "{BASELINE}" is written, which this set is not made from')
        if self.count is not None and self.match.samples is not None:
            raise ValueError("count and match.samples both say how many samples: keep one")
        return self

    def parts(self, own: str) -> dict[str, float]:
        """Source or "baseline" to its share of the samples; `own` stands in where `from` says nothing."""
        return {own: 1.0} if self.made_from is None else dict(self.made_from)


class Assemble(Section):
    """How a picked conversation becomes token ids."""

    max_tokens: Annotated[int, Field(ge=16, description="longest sample in tokens, special tokens counted")] = 2048
    overflow: Annotated[
        Literal["keep_answer", "head", "tail", "drop"], Field(description="what is kept of a longer conversation")
    ] = "keep_answer"
    common_seeds: Annotated[
        bool, Field(description="every set holds the same seeds, those that all have a sample of")
    ] = True


DRAW = re.compile(r"(?P<set>.+)-r(?P<number>[1-9]\d*)")


def draw_name(name: str, number: int) -> str:
    """The set's name in its draw `number`; the first has the plain name."""
    return name if number == 1 else f"{name}-r{number}"


def plain_name(name: str) -> str:
    """The set whose further draw this is; itself if it is none."""
    found = DRAW.fullmatch(name)
    return found["set"] if found and int(found["number"]) > 1 else name
