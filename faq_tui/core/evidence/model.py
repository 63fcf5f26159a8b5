"""The shape of the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.stats.bootstrap import Estimate

BETTER, WORSE, WITHIN_NOISE = "better", "worse", "within noise"
# The interval excludes zero, but among so many comparisons one such is to be expected by luck.
LEANS_BETTER, LEANS_WORSE = "leans better", "leans worse"
SAME = "same model"  # both sides have the same token ids, so the same weights
UNKNOWN = "cannot be told"  # fewer items than an interval needs, or a number that is not finite


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
    bytes: int | None  # of its weight files
    texts: dict[str, dict[str, Estimate]]  # text to metric


@dataclass(frozen=True)
class MetricOutcome:
    """One metric on one text: a set against the baseline."""

    ours: float
    baseline: float
    difference: Estimate  # ours - baseline
    recovered: Estimate | None  # None: the baseline lost nothing beyond noise
    p: float | None  # two-sided, of no difference; None: no interval
    p_adjusted: float | None  # for all comparisons of the report: Benjamini and Hochberg
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """One source's set against the baseline's, under one recipe, at equal samples or at equal tokens."""

    recipe: str
    source: str
    equal: str  # samples | tokens
    ours: str  # artefact
    baseline: str
    our_samples: int  # sizes of several draws are their means, rounded
    our_tokens: int
    baseline_samples: int
    baseline_tokens: int
    same: bool
    draws: int  # of the calibration sets, each of both sides
    texts: dict[str, dict[str, MetricOutcome]]  # text to metric


@dataclass(frozen=True)
class Text:
    """A held-out text as it was measured."""

    name: str
    kind: str
    items: int
    tokens: int | None  # predicted; None for multiple choice
    window: int | None  # tokens of a window of prose; None for another kind


@dataclass(frozen=True)
class Flips:
    """Labelled items that one model gets right and the unquantized one wrong, or the other way round."""

    model: str
    text: str
    lost: tuple[int, ...]  # numbers of items right before quantization only
    won: tuple[int, ...]  # right after it only
    choices: dict[int, tuple[int, int]]  # multiple choice: item to (unquantized, this model)'s choice


@dataclass(frozen=True)
class Evidence:
    texts: tuple[Text, ...]
    rows: tuple[ModelRow, ...]
    comparisons: tuple[Comparison, ...]
    flips: tuple[Flips, ...]
    dtype: str  # in which the models ran
    device: str
    measured: float  # unix seconds of the newest measurement

    def metrics(self, text: str) -> tuple[str, ...]:
        """The names of the metrics that a text was measured by, the main one first."""
        return tuple(self.rows[0].texts.get(text, ()))
