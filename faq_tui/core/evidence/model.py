"""The data classes of the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.stats.bootstrap import Estimate

BETTER, WORSE, WITHIN_NOISE = "better", "worse", "within noise"
# The interval excludes zero, but among so many comparisons this can be chance.
LEANS_BETTER, LEANS_WORSE = "leans better", "leans worse"
SAME = "same model"  # both sides have the same token ids, so the same weights
UNKNOWN = "cannot be told"  # too few items for an interval, or a number that is not finite


@dataclass(frozen=True)
class ModelRow:
    """One model: the unquantized target, or an artefact."""

    name: str
    recipe: str | None
    set_name: str | None
    same_as: str | None
    samples: int | None
    tokens: int | None
    bits: float | None
    bytes: int | None  # size of its weight files
    texts: dict[str, dict[str, Estimate]]  # text -> metric


@dataclass(frozen=True)
class MetricOutcome:
    """One metric on one text: a set compared with the baseline."""

    ours: float
    baseline: float
    difference: Estimate  # ours - baseline
    recovered: Estimate | None  # None: the loss of the baseline is within noise
    p: float | None  # two-sided p-value of no difference; None: no interval
    p_adjusted: float | None  # adjusted over the whole report (Benjamini and Hochberg)
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """One source's set compared with the baseline's under one recipe, at equal samples or equal tokens."""

    recipe: str
    source: str
    equal: str  # samples | tokens
    ours: str  # artefact
    baseline: str
    our_samples: int  # for several draws: the mean, rounded
    our_tokens: int
    baseline_samples: int
    baseline_tokens: int
    same: bool
    draws: int  # draws of the calibration set on each side
    texts: dict[str, dict[str, MetricOutcome]]  # text -> metric


@dataclass(frozen=True)
class Text:
    """A measured held-out text."""

    name: str
    kind: str
    items: int
    tokens: int | None  # predicted tokens; None for multiple choice
    window: int | None  # tokens per window of prose; None for other kinds


@dataclass(frozen=True)
class Flips:
    """Labelled items that only one of a model and the unquantized model gets right."""

    model: str
    text: str
    lost: tuple[int, ...]  # numbers of items that only the unquantized model gets right
    won: tuple[int, ...]  # numbers of items that only this model gets right
    choices: dict[int, tuple[int, int]]  # multiple choice: item -> (unquantized model's choice, this model's choice)


@dataclass(frozen=True)
class Evidence:
    texts: tuple[Text, ...]
    rows: tuple[ModelRow, ...]
    comparisons: tuple[Comparison, ...]
    flips: tuple[Flips, ...]
    dtype: str  # dtype in which the models ran
    device: str
    measured: float  # unix seconds of the newest measurement

    def metrics(self, text: str) -> tuple[str, ...]:
        """Names of the metrics that were measured on a text, the main one first."""
        return tuple(self.rows[0].texts.get(text, ()))
