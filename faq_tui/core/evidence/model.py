"""The data classes of the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.stats.bootstrap import Estimate

BETTER, WORSE, WITHIN_NOISE = "better", "worse", "within noise"
# A verdict "leans …" means that the interval excludes zero, but the adjusted p-value is too high. If there are many
# comparisons, chance alone produces some intervals that exclude zero.
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
    """The result of comparing a set with the baseline, for one metric on one text."""

    ours: float
    baseline: float
    difference: Estimate  # ours - baseline
    recovered: Estimate | None  # the recovered share of the loss; None if the baseline's loss is within noise
    p: float | None  # two-sided p-value of the null hypothesis "no difference"; None if there is no interval
    p_adjusted: float | None  # the p-value adjusted for all comparisons of the report (Benjamini and Hochberg)
    verdict: str
    spread: float | None = None  # standard deviation of the draws' differences; None if there is one draw
    # Half the width of the interval of `difference` before impossible values are cut off; None if nothing is cut off.
    whole_half: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The comparison of one source's set with the baseline.

    Both sets have the same size and were used with the same recipe.
    """

    recipe: str
    source: str
    equal: str  # "samples" or "tokens": both sets have the same number of them
    ours: str  # name of our artefact
    baseline: str  # name of the artefact that our artefact is compared with

    # If there are several draws, the next four numbers are means over the draws, rounded to whole numbers.
    our_samples: int
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
    """The flips of one quantized model on one text.

    An item flips if exactly one of the two models answers it correctly: the quantized or the unquantized model.
    """

    model: str
    text: str
    lost: tuple[int, ...]  # numbers of the items that only the unquantized model gets right
    won: tuple[int, ...]  # numbers of the items that only the quantized model gets right

    # Maps the number of each flipped question to (the unquantized model's choice, this model's choice).
    choices: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Wanted:
    """The number of draws that an interval of ± `share` needs.

    `draws` is None if even the largest value of `evaluate.repeats` is too small. Then `lacking` says what else is
    needed: `items` (more held-out items), `seeds` (more seeds, because the draws share seeds) or `draws` (more draws
    than this largest value).
    """

    share: float  # half-width as a share of the baseline's value; for a metric in percent, a difference of shares
    draws: int | None
    seconds: float | None  # estimated time for the further draws; None if it is unknown
    lacking: str | None = None


@dataclass(frozen=True)
class DrawsNeeded:
    """How many draws one comparison needs, for the main metric of one held-out text."""

    recipe: str
    source: str
    equal: str
    text: str
    metric: str
    draws: int  # number of draws so far
    half_width: float  # half-width of the present interval, in the unit of `Wanted.share`
    spread: float  # standard deviation between draws, in the unit of `Wanted.share`
    assumed: bool  # True if the spread was not measured in this run, but taken from `Metric.close`
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class CategoryOutcome:
    """The KL of a set and of its baseline on the held-out answers whose seeds have one category."""

    recipe: str
    source: str
    equal: str  # "samples" or "tokens", as in `Comparison`
    text: str
    category: str
    items: int
    ours: float  # mean KL per token in nats; with several draws, the mean over the draws
    baseline: float
    difference: Estimate  # ours - baseline; not adjusted for the number of categories


@dataclass(frozen=True)
class Evidence:
    texts: tuple[Text, ...]
    rows: tuple[ModelRow, ...]
    comparisons: tuple[Comparison, ...]
    flips: tuple[Flips, ...]
    dtype: str  # the dtype in which the models ran
    device: str
    measured: float  # time of the newest measurement, in Unix seconds
    draws_needed: tuple[DrawsNeeded, ...] = ()
    by_category: tuple[CategoryOutcome, ...] = ()

    def metrics(self, text: str) -> tuple[str, ...]:
        """Names of the metrics that were measured on a text, the main one first."""
        return tuple(self.rows[0].texts.get(text, ()))
