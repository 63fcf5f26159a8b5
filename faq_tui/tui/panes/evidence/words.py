"""The names of metrics and what verdicts mean, in words for the screen."""

from __future__ import annotations

import math
from dataclasses import asdict

from faq_tui.core.evaluation.kinds import WORDS
from faq_tui.core.evidence import BETTER, LEANS_BETTER, LEANS_WORSE, SAME, UNKNOWN, WITHIN_NOISE, WORSE
from faq_tui.core.extensions import METRICS
from faq_tui.core.report import formatting
from faq_tui.core.stats.bootstrap import Estimate

STYLES = {
    BETTER: "bold green",
    WORSE: "bold red",
    LEANS_BETTER: "green",
    LEANS_WORSE: "red",
    WITHIN_NOISE: "",
    SAME: "dim",
    UNKNOWN: "dim",
}
MEANINGS = {
    BETTER: "beyond noise, also among so many comparisons",
    WORSE: "beyond noise, also among so many comparisons",
    WITHIN_NOISE: "this measurement sees no difference",
    LEANS_BETTER: "its own interval excludes zero, but among so many comparisons one such comes by luck",
    LEANS_WORSE: "its own interval excludes zero, but among so many comparisons one such comes by luck",
    SAME: "both sides hold the same token ids, so nothing can differ",
    UNKNOWN: "too few items for an interval, or a number that is not finite",
}


def heading(metric: str, title: str, window: int | None) -> str:
    """`KL on pydoc · lower is better`."""
    of = METRICS.get(metric)
    goal = "higher" if of.higher_is_better else "lower"
    return f"{of.title_for(window)} on {short_title(metric, title)} · {goal} is better"


def short_title(metric: str, title: str) -> str:
    """The held-out text's title as it stands in a heading: a word perplexity need not say that it is of words."""
    return title.removeprefix("words of ") if METRICS.get(metric).kinds == (WORDS,) else title


def value(metric: str, number: float) -> str:
    return formatting.value(metric, number if math.isfinite(number) else None)


def ends(metric: str, estimate: Estimate) -> str:
    """`[low, high]` of a metric's own value; nothing where there is none, or no width."""
    if estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return ""
    low, high = value(metric, estimate.low), value(metric, estimate.high)
    return f"[{low.removesuffix('%')}, {high.removesuffix('%')}]"


def change(metric: str, estimate: Estimate) -> str:
    """`-0.0981 [-0.1003, -0.0960]`."""
    number = estimate.value if math.isfinite(estimate.value) else None
    ends = "" if estimate.low is None else f" {formatting.interval(metric, asdict(estimate))}"
    return f"{formatting.change(metric, number).removesuffix(' points')}{ends}"


def share(estimate: Estimate | None) -> str:
    """Of the loss recovered, with its interval; nothing where there is none."""
    if estimate is None or not math.isfinite(estimate.value):
        return ""
    return formatting.share(asdict(estimate))


def verdict_detail(verdict: str) -> str:
    return f"{verdict}: {MEANINGS[verdict]}"
