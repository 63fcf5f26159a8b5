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

    samples: str | None = None
    tokens: str | None = None

    def names(self) -> set[str]:
        return {name for name in (self.samples, self.tokens) if name is not None}


class SetPlan(Section):
    """One calibration set: whose answers, in which form, which of them, how many."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    # A source or "baseline", or shares of samples: {elder = 0.5, baseline = 0.5}. By default the set's own
    # name where that is a source's, else "baseline".
    made_from: dict[str, Share] | None = Field(default=None, alias="from")
    # How "baseline" is written. seed: the chat template, with the original answer where there is one;
    # raw: the texts without a template; template: the question only; original: only seeds with an answer.
    kind: Kind | None = None
    answer_only: bool = False  # leaves the sources' reasoning out
    tokens_per_sample: Annotated[int, Field(ge=16)] | None = None  # longer samples lose their end
    select: Literal["judge", "diversity", "coverage"] | None = None  # the order that `count` and `match` cut
    count: Count | None = None  # samples
    match: Match = Match()

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

    max_tokens: Annotated[int, Field(ge=16)] = 2048
    overflow: Literal["keep_answer", "head", "tail", "drop"] = "keep_answer"
    common_seeds: bool = True  # every set holds the seeds that all have a sample of: equal samples compare


DRAW = re.compile(r"(?P<set>.+)-r(?P<number>[1-9]\d*)")


def draw_name(name: str, number: int) -> str:
    """The set's name in its draw `number`; the first has the plain name."""
    return name if number == 1 else f"{name}-r{number}"


def plain_name(name: str) -> str:
    """The set whose further draw this is; itself if it is none."""
    found = DRAW.fullmatch(name)
    return found["set"] if found and int(found["number"]) > 1 else name
