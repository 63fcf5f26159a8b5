"""Compare the activations of two sets: outlier channels, spikes and smoothness.

The comparison uses the inputs of one module, such as o_proj, in all layers.

Each layer has one value with our set and one value with the other set, called `ours` and `theirs`. The change of a
metric is the mean of log(ours / theirs) over all layers. If a value is zero, the change is the mean of ours - theirs
instead. For each change, a bootstrap over the layers gives an interval. A sign test (Conover, "Practical
nonparametric statistics", 3.4) gives a p-value. The sign test leaves out each layer in which both sets have the same
value. The layers of one model are not independent, so the interval tends to be too narrow. Therefore a change is
reported only if the interval and the sign test agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faq_tui.core.activations.statistics import METRICS
from faq_tui.core.stats.bootstrap import MIN_ITEMS, SEED, Estimate, resampled, tail_share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]


SMOOTHER, ROUGHER, SAME = "smoother", "rougher", "no difference"
DECIDING = ("max", "crest", "kurtosis")
LEVEL = 0.05  # significance level of the sign test
TOKENS_APART = 0.05  # if the two token counts differ by more than 5%, comparing the peaks is not fair


@dataclass(frozen=True)
class Compared:
    """The comparison of one metric between two sets, over all layers.

    If `is_ratio` is true, `change` is the geometric mean of ours / theirs over all layers. If a value is zero,
    `is_ratio` is false, and `change` is the mean of ours - theirs over all layers.
    """

    metric: str
    ours: float | None  # the median over all layers, for our set; `theirs` is the median for the other set
    theirs: float | None
    change: Estimate
    is_ratio: bool
    layers: int
    higher: int  # number of layers in which our set has the higher value
    lower: int  # number of layers in which our set has the lower value
    p: float  # two-sided p-value of the sign test
    verdict: str


@dataclass(frozen=True)
class SetComparison:
    ours: str
    theirs: str
    module: str
    metrics: tuple[Compared, ...]
    verdict: str
    sentence: str


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any], module: str, resamples: int) -> SetComparison:
    """Compare two sets by the inputs of one module.

    `ours` and `theirs` have the keys `set_name`, `tokens` and `places`.
    """
    mine, other = (
        {entry["layer"]: entry for entry in one["places"] if entry["module"] == module} for one in (ours, theirs)
    )
    layers = sorted(mine.keys() & other.keys())
    metrics = tuple(
        compared(
            metric, [mine[layer][metric] for layer in layers], [other[layer][metric] for layer in layers], resamples
        )
        for metric in METRICS
    )
    verdict = overall(metrics)
    names = str(ours["set_name"]), str(theirs["set_name"])
    return SetComparison(*names, module, metrics, verdict, _sentence(names, module, metrics, verdict, ours, theirs))


def compared(metric: str, ours: Sequence[float | None], theirs: Sequence[float | None], resamples: int) -> Compared:
    """Compare one metric's values layer by layer. A layer is left out if one of its two values is missing."""
    import numpy as np

    pairs = np.array([(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]).reshape(
        -1, 2
    )
    is_ratio = bool((pairs > 0).all())
    changes = np.log(pairs[:, 0] / pairs[:, 1]) if is_ratio else pairs[:, 0] - pairs[:, 1]
    higher, lower = int((changes > 0).sum()), int((changes < 0).sum())
    p = sign_test(higher, lower)
    change = _mean(changes, resamples)
    certain = change.excludes(0.0) and p < LEVEL
    verdict = (ROUGHER if change.value > 0 else SMOOTHER) if certain else SAME
    if is_ratio and len(pairs):
        low, high = (None if end is None else math.exp(end) for end in (change.low, change.high))
        change = Estimate(math.exp(change.value), low, high)
    middle, other = (float(np.median(pairs[:, side])) if len(pairs) else None for side in (0, 1))
    return Compared(metric, middle, other, change, is_ratio, len(pairs), higher, lower, p, verdict)


def _mean(changes: Any, resamples: int) -> Estimate:
    """The mean over layers, with a bootstrap interval if there are enough layers."""
    import numpy as np

    if not len(changes):
        return Estimate(math.nan)
    if len(changes) < MIN_ITEMS:
        return Estimate(float(changes.mean()))
    means = resampled(len(changes), resamples, SEED) @ changes / len(changes)
    tail = tail_share(len(changes))
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Estimate(float(changes.mean()), float(low), float(high))


def sign_test(higher: int, lower: int) -> float:
    """The two-sided p-value of the sign test. The null hypothesis is that both signs are equally likely."""
    trials = higher + lower
    if not trials:
        return 1.0
    tail = sum(math.comb(trials, k) for k in range(min(higher, lower) + 1))
    return float(min(1.0, 2 * tail / 2**trials))


def overall(metrics: Sequence[Compared]) -> str:
    """The verdict of the majority of the metrics in `DECIDING`.

    The result is SAME if there is no majority, or if one of these metrics has the opposite verdict.
    """
    verdicts = [one.verdict for one in metrics if one.metric in DECIDING]
    for verdict, opposite in ((SMOOTHER, ROUGHER), (ROUGHER, SMOOTHER)):
        if verdicts.count(verdict) * 2 > len(verdicts) and opposite not in verdicts:
            return verdict
    return SAME


def _sentence(
    names: tuple[str, str],
    module: str,
    metrics: Sequence[Compared],
    verdict: str,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
) -> str:
    by_name = {one.metric: one for one in metrics}
    peak = by_name["max"]
    if verdict == SAME:
        text = f"{names[0]} and {names[1]}: no consistent difference in the spikes of {module}"
    else:
        text = f"{names[0]} makes {module} {verdict} than {names[1]}"
    details = [f"the peak is higher in {peak.higher} and lower in {peak.lower} of {peak.layers} layers"]
    for metric in DECIDING:
        one = by_name[metric]
        if one.is_ratio and one.layers:
            details.append(f"{metric} {one.change.value:.2f}×")
    text = f"{text} ({', '.join(details)})."
    low, high = sorted((int(ours["tokens"]), int(theirs["tokens"])))
    if high > low * (1 + TOKENS_APART):
        tokens = f"{int(ours['tokens']):,} and {int(theirs['tokens']):,}"
        text += f" This comparison is not fair: the sets have {tokens} tokens, and more tokens raise the peaks."
    return text


TIMES_MEDIAN = 3.0


def reference(absmaxes: Iterable[Floats]) -> Floats:
    """The largest |x| of each channel over all sets, float32 [channels]."""
    import numpy as np

    highest: Floats = np.maximum.reduce(list(absmaxes))
    return highest


def threshold(reference: Floats) -> float:
    """The outlier threshold: three times the median of `reference`.

    `reference` holds the largest |x| of each channel.

    LLM.int8 (arXiv:2208.07339) uses the fixed threshold 6.0, which fits only one model family. Therefore this
    threshold depends on the module's own values.
    """
    import numpy as np

    return TIMES_MEDIAN * float(np.median(reference))


def outlier_channels(reference: Floats) -> Mask:
    """A mask [channels], which is true where `reference` is above the outlier threshold."""
    mask: Mask = reference > threshold(reference)
    return mask


def coverage(absmax: Floats, reference: Floats) -> float | None:
    """The share of the outlier channels in which `absmax` exceeds the outlier threshold.

    The outlier channels and the threshold are computed from `reference`.

    Returns None if `reference` has no outlier channel.
    """
    outliers = outlier_channels(reference)
    if not outliers.any():
        return None
    return float((absmax[outliers] > threshold(reference)).mean())
