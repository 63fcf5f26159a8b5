"""Settings in `[sets.NAME]` and `[assemble]`: further calibration sets, and changes to default sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from faq_tui.core.settings.section import BASELINE, TOKENS_SUFFIX, AddedLater, Count, Section

Kind = Literal["seed", "raw", "template", "original"]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
PROSE = "prose"  # name of the part of a set that comes from the text file in the key `prose_file`

# A recipe can name these sets in its key `sets`, although `faq.toml` has no section for them.
KINDS_BY_NAME: dict[str, Kind] = {f"{BASELINE}-raw": "raw", f"{BASELINE}-original": "original"}


class Match(Section):
    """The sets that give this set its size.

    `samples` names the set that gives the number of samples, and `tokens` names the set that gives the number of
    tokens.
    """

    samples: Annotated[
        str | None, Field(description="set whose number of samples is copied; default: none", examples=["baseline"])
    ] = None
    tokens: Annotated[
        str | None, Field(description="set whose number of tokens is copied; default: none", examples=["baseline"])
    ] = None

    def names(self) -> set[str]:
        return {name for name in (self.samples, self.tokens) if name is not None}


class SetPlan(Section):
    """How one calibration set is made: its sources, the form and the order of its samples, and its size."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    made_from: Annotated[
        dict[str, Share] | None,
        Field(
            alias="from",
            description='a source, "baseline", or shares of several sources; default: the set\'s name or "baseline"',
            examples=[{"elder": 0.5, "baseline": 0.5}],
        ),
    ] = None
    prose_file: Annotated[
        str | None,
        AddedLater(),
        Field(
            min_length=1,
            description="text file (UTF-8) for the share `prose` in `from`, a share of the tokens; default: none",
            examples=["articles.txt"],
        ),
    ] = None
    # With "seed", a sample holds the question and the original answer (if there is one), in the chat template. With
    # "raw", a sample holds the same texts as with "seed", but without a chat template. With "template", a sample
    # holds only the question, in the chat template. "original" is like "seed", but only seeds with an original answer
    # are used.
    kind: Annotated[
        Kind | None, Field(description="form of the baseline's samples; default: seed", examples=["seed"])
    ] = None
    answer_only: Annotated[bool, Field(description="if true, the reasoning is removed")] = False
    tokens_per_sample: Annotated[
        int | None,
        Field(ge=16, description="samples are cut to this many tokens; default: no cut", examples=[256]),
    ] = None
    answers_cut: Annotated[
        Count | None,
        AddedLater(),
        Field(description="an answer and its reasoning are cut to this many tokens; default: no cut", examples=[128]),
    ] = None
    select: Annotated[
        Literal["judge", "diversity", "coverage", "centroid", "entropy", "experts"] | None,
        Field(
            description="order of the samples; default: the order of the draw",
            examples=["diversity"],
        ),
    ] = None
    count: Annotated[Count | None, Field(description="number of samples; default: all samples", examples=[128])] = (
        None
    )
    match: Annotated[
        Match,
        Field(
            description="sets whose number of samples or tokens this set copies; default: none",
            examples=[{"tokens": "baseline"}],
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
            raise ValueError(f"`from`: the shares sum to {sum(shares.values()):g}, but must sum to 1")
        if shares is not None and self.kind is not None and BASELINE not in shares:
            raise ValueError(f'the key `kind` is only for sets made from "{BASELINE}": remove this key')
        if self.count is not None and self.match.samples is not None:
            raise ValueError(
                "the keys `count` and `match.samples` both set the number of samples: remove one of them"
            )
        if self.select == "centroid" and not self.has_size:
            raise ValueError('select = "centroid" needs the size of the set: set `count` or `match`')
        if self.prose_file is not None:
            self._check_prose(shares or {})
        return self

    def _check_prose(self, shares: Mapping[str, float]) -> None:
        if PROSE not in shares:
            raise ValueError(
                f"`prose_file` needs a share of {PROSE} in `from`, such as {{ {BASELINE} = 0.8, {PROSE} = 0.2 }}"
            )
        if shares[PROSE] == 1.0 and not self.has_size:
            raise ValueError("a set of only prose needs a size: set `count` or `match`")
        if shares[PROSE] < 1.0 and self.count == 1:
            raise ValueError(f"a set with {PROSE} has at least two samples: set `count` to 2 or more")
        if shares[PROSE] == 1.0 and self.select is not None:
            raise ValueError("a set of only prose cannot be sorted: remove the key `select`")

    @property
    def has_size(self) -> bool:
        """True if the plan limits the number of samples or of tokens."""
        return self.count is not None or bool(self.match.names())

    @property
    def prose_share(self) -> float:
        """The share of the set's tokens that comes from the text file `prose_file`."""
        return 0.0 if self.prose_file is None else (self.made_from or {}).get(PROSE, 0.0)

    def conversations(self, own: str) -> dict[str, float]:
        """The same as `parts`, but without prose. The values are shares of the conversations, and they sum to 1."""
        parts = self.parts(own)
        if self.prose_file is None:
            return parts
        prose = parts.pop(PROSE)
        return {name: share / (1.0 - prose) for name, share in parts.items()}

    def parts(self, own: str) -> dict[str, float]:
        """Maps each source, or "baseline", to its share of the samples.

        The key `prose` maps to the prose's share of the tokens.

        If the key `from` is not set, all samples come from `own`.
        """
        return {own: 1.0} if self.made_from is None else dict(self.made_from)


class Assemble(Section):
    """Settings for turning a picked conversation into token ids."""

    max_tokens: Annotated[int, Field(ge=16, description="longest sample in tokens, including special tokens")] = 2048
    overflow: Annotated[
        Literal["keep_answer", "head", "tail", "drop"],
        Field(description="the part that is kept if a conversation is too long"),
    ] = "keep_answer"
    common_seeds: Annotated[
        bool, Field(description="if true, only seeds that have a sample in every set are kept")
    ] = True


DRAW = re.compile(r"(?P<set>.+)-r(?P<number>[1-9]\d*)")


def draw_name(name: str, number: int) -> str:
    """The name of draw `number` of the set `name`. The name of the first draw is `name` itself."""
    return name if number == 1 else f"{name}-r{number}"


def plain_name(name: str) -> str:
    """The set's name without the number of the draw."""
    match = DRAW.fullmatch(name)
    return match["set"] if match and int(match["number"]) > 1 else name


NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")  # used in file and folder names


def default_names(sources: Iterable[str]) -> tuple[str, ...]:
    """The names of the default sets, which have equal numbers of samples."""
    return (BASELINE, *sources)


def twin_names(sources: Iterable[str]) -> tuple[str, ...]:
    """The names of the default sets' copies that have equal numbers of tokens, such as `baseline-tokens`.

    The result is empty if the run has no source.
    """
    names = tuple(sources)
    return tuple(f"{name}{TOKENS_SUFFIX}" for name in default_names(names)) if names else ()


def further_names(sources: Iterable[str], sets: Mapping[str, SetPlan], requested: Iterable[str]) -> tuple[str, ...]:
    """The names of the sets in `[sets]`, followed by the names in `KINDS_BY_NAME` that a recipe uses."""
    default = default_names(sources)
    named = (*sets, *(name for name in requested if name in KINDS_BY_NAME))
    return tuple(dict.fromkeys(name for name in named if name not in default))


def plans(names: Iterable[str], sources: Iterable[str], sets: Mapping[str, SetPlan]) -> dict[str, SetPlan]:
    """The plan of each set. If the keys `from` or `kind` are missing, the plan has their default values."""
    known = set(sources)
    return {name: _whole(name, name if name in known else BASELINE, sets.get(name, SetPlan())) for name in names}


def _whole(name: str, own: str, plan: SetPlan) -> SetPlan:
    kind = plan.kind or KINDS_BY_NAME.get(name, "seed")
    return plan.model_copy(update={"made_from": plan.parts(own), "kind": kind})


def check(sources: Iterable[str], sets: Mapping[str, SetPlan], requested: Iterable[str]) -> None:
    """Raise ValueError if a set of `[sets]` cannot be made."""
    sources = tuple(sources)
    twins = twin_names(sources)
    names = (*default_names(sources), *further_names(sources, sets, requested))
    for name, plan in sets.items():
        own = name if name in sources else BASELINE
        if not NAME.fullmatch(name):
            raise ValueError(
                f"sets.{name}: use only letters, digits, _ and - in the name of a set, because it becomes a file name"
            )
        if name in twins:
            raise ValueError(
                f"sets.{name}: faq-tui uses this name for a set that it makes for the comparison at equal tokens: "
                "choose another name"
            )
        _check_prose(name, plan, sources)
        if plan.answers_cut is not None and plan.kind == "template" and set(plan.conversations(own)) == {BASELINE}:
            raise ValueError(
                f'sets.{name}.answers_cut: with kind = "template", no sample has an answer: remove one of the keys'
            )
        for part in plan.conversations(own):
            if part not in default_names(sources):
                raise ValueError(
                    f"sets.{name}.from: there is no source {part!r}; "
                    f"the possible values are {', '.join(default_names(sources))}"
                )
        for other in plan.match.names() - set(names):
            raise ValueError(f"sets.{name}.match: there is no set {other!r}; the sets are {', '.join(names)}")
    list(in_order(plans(names, sources, sets)))


def _check_prose(name: str, plan: SetPlan, sources: tuple[str, ...]) -> None:
    """Raise ValueError if a set's prose has no file, or if a source has the name `prose`."""
    if PROSE in sources:
        if plan.prose_file is not None:
            raise ValueError(f"sets.{name}.prose_file: a source also has the name {PROSE}: rename the source")
        return
    if plan.prose_file is None and PROSE in (plan.made_from or {}):
        raise ValueError(f"sets.{name}.from: the part {PROSE} needs a text file: set sets.{name}.prose_file")
    if plan.prose_share == 1.0 and name in default_names(sources):
        raise ValueError(f"sets.{name}.from: a default set must not be only {PROSE}: give {PROSE} a smaller share")


def in_order(unordered: Mapping[str, SetPlan]) -> Iterator[str]:
    """The names of the sets. If a set copies the size of another set, the other set comes first.

    Raises ValueError if `match` leads from a set back to the same set, so that no size is known.
    """
    done: list[str] = []
    waiting = list(unordered)
    while waiting:
        ready = [name for name in waiting if unordered[name].match.names() <= set(done)]
        if not ready:
            raise ValueError(
                f"sets: the key `match` of {', '.join(waiting)} leads back to the same set, so no size is known: "
                "set the key `count` of one of them"
            )
        done += ready
        waiting = [name for name in waiting if name not in ready]
    yield from done
