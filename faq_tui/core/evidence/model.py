"""The data classes of the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.stats.bootstrap import Estimate

BETTER, WORSE, WITHIN_NOISE = "better", "worse", "within noise"
# The next two verdicts mean that the interval excludes zero, but the adjusted p-value is too high. With many
# comparisons, such an interval can be chance.
LEANS_BETTER, LEANS_WORSE = "leans better", "leans worse"
SAME = "same model"  # both sets have the same token ids, so both models have the same weights
UNKNOWN = "cannot be told"  # there are too few items for an interval, or a number is not finite


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
    bytes: int | None  # size of the weight files
    texts: dict[str, dict[str, Estimate]]  # the estimates: texts[text][metric]


@dataclass(frozen=True)
class MetricOutcome:
    """The outcome of comparing a set with the baseline by one metric on one text."""

    ours: float
    baseline: float
    difference: Estimate  # ours - baseline
    recovered: Estimate | None  # None if the loss of the baseline is within noise
    p: float | None  # two-sided p-value for the hypothesis of no difference; None if there is no interval
    p_adjusted: float | None  # adjusted for all comparisons of the report (Benjamini and Hochberg)
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """One source's set compared with the baseline, with the same recipe and equal size."""

    recipe: str
    source: str
    equal: str  # the unit in which both sets have the same size: samples | tokens
    ours: str  # name of our artefact
    baseline: str  # name of the artefact with which ours is compared
    our_samples: int  # With several draws, this number and the next three are rounded means over the draws.
    our_tokens: int
    baseline_samples: int
    baseline_tokens: int
    same: bool
    draws: int  # number of draws of the calibration set on each side
    texts: dict[str, dict[str, MetricOutcome]]  # the outcomes: texts[text][metric]


@dataclass(frozen=True)
class Text:
    """A measured held-out text."""

    name: str
    kind: str
    items: int
    tokens: int | None  # number of predicted tokens; None for multiple choice
    window: int | None  # number of tokens per window of prose; None for other kinds


@dataclass(frozen=True)
class Flips:
    """The labelled items that only one of two models answers correctly: the quantized or the unquantized model."""

    model: str
    text: str
    lost: tuple[int, ...]  # numbers of the items that only the unquantized model gets right
    won: tuple[int, ...]  # numbers of the items that only the quantized model gets right
    # For each question's number: (choice of the unquantized model, choice of this model).
    choices: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Evidence:
    texts: tuple[Text, ...]
    rows: tuple[ModelRow, ...]
    comparisons: tuple[Comparison, ...]
    flips: tuple[Flips, ...]
    dtype: str  # the dtype in which the models ran
    device: str
    measured: float  # time of the newest measurement, in Unix seconds

    def metrics(self, text: str) -> tuple[str, ...]:
        """Names of the metrics that were measured on a text, the main one first."""
        return tuple(self.rows[0].texts.get(text, ()))
