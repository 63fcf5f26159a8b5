"""The texts of the pane: names of metrics, numbers with intervals, verdicts, the summary and the view `run`."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.text import Text

from faq_tui.core.base.text import sanitize
from faq_tui.core.evaluation.kinds import WORDS
from faq_tui.core.evidence import BETTER, LEANS_BETTER, LEANS_WORSE, SAME, UNKNOWN, WITHIN_NOISE, WORSE, Evidence
from faq_tui.core.extensions import METRICS
from faq_tui.core.report import formatting
from faq_tui.core.report.headline import one_sentence
from faq_tui.core.report.run_section import run_lines
from faq_tui.core.stats.bootstrap import Estimate
from faq_tui.tui.live import with_time
from faq_tui.tui.panes.evidence.data import (
    BOTH,
    EQUALS,
    NOTHING,
    OVERVIEW,
    STALE,
    TABLE,
    EvidenceViewState,
    LoadedEvidence,
)

NO_SPIKES = "Not measured yet. The stage activations runs each calibration set through the target."
Part = tuple[str, str] | None
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
    BETTER: "larger than noise, even among this many comparisons",
    WORSE: "larger than noise, even among this many comparisons",
    WITHIN_NOISE: "this measurement shows no difference",
    LEANS_BETTER: "the interval excludes zero, but with this many comparisons, chance can cause this",
    LEANS_WORSE: "the interval excludes zero, but with this many comparisons, chance can cause this",
    SAME: "both sets have the same token ids, so the models are identical",
    UNKNOWN: "there are too few items for an interval, or a number is not finite",
}


def heading(metric: str, title: str, window: int | None) -> str:
    """A heading such as `KL on pydoc · lower is better`."""
    declared = METRICS.get(metric)
    goal = "higher" if declared.higher_is_better else "lower"
    return f"{declared.title_for(window)} on {short_title(metric, title)} · {goal} is better"


def short_title(metric: str, title: str) -> str:
    """The title of the held-out text for a heading.

    The text "words of" is left out if the metric's name already contains this text.
    """
    return title.removeprefix("words of ") if METRICS.get(metric).kinds == (WORDS,) else title


def value(metric: str, number: float) -> str:
    return formatting.value(metric, number if math.isfinite(number) else None)


def ends(metric: str, estimate: Estimate) -> str:
    """The interval of a value as `[low, high]`. "" if there is no interval, or if both ends are equal."""
    if estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return ""
    low, high = value(metric, estimate.low), value(metric, estimate.high)
    return f"[{low.removesuffix('%')}, {high.removesuffix('%')}]"


def change(metric: str, estimate: Estimate) -> str:
    """The change with its interval, such as `-0.0981 [-0.1003, -0.0960]`."""
    number = estimate.value if math.isfinite(estimate.value) else None
    ends = "" if estimate.low is None else f" {formatting.interval(metric, asdict(estimate))}"
    return f"{formatting.change(metric, number).removesuffix(' points')}{ends}"


def share(estimate: Estimate | None) -> str:
    """The recovered share of the loss with its interval; "" if it is unknown."""
    if estimate is None or not math.isfinite(estimate.value):
        return ""
    return formatting.share(asdict(estimate))


def verdict_detail(verdict: str) -> str:
    return f"{verdict}: {MEANINGS[verdict]}"


def missing(loaded: LoadedEvidence, when: str) -> str:
    """Why there is no evidence. `when` says when the stage evaluate runs (`LiveState.when`)."""
    return with_time(loaded.why, when) if loaded.why in (NOTHING, STALE) else loaded.why


def summary(loaded: LoadedEvidence, view_state: EvidenceViewState, when: str) -> Text:
    """The summary lines: warnings about all figures, how often each verdict occurs, and what the view shows.

    `when` says when the stage evaluate runs (`LiveState.when`).
    """
    evidence = loaded.evidence
    if evidence is None:
        return Text()
    line = Text()
    if loaded.report["outdated"]:
        line.append(f"{sanitize(loaded.report['outdated'])}.\n", "bold")
    if shared := loaded.report["run"]["shared_seeds"]:
        line.append(f"Each draw has {shared['seeds']} of the same {shared['total']} seeds, ", "bold")
        line.append("so the intervals are wider.\n", "bold")
    if view_state.view == OVERVIEW:
        line.append(sanitize(f"{one_sentence(loaded.report)}."), "bold")
        return line.append(f"\n{OVERVIEW}: all comparisons in one picture · press v for the table", "dim")
    parts = 0
    for equal in EQUALS:
        counts = _counts(evidence, equal)
        if counts:
            line.append("   " if parts else "").append(f"At equal {equal}: ", "bold")
            for index, (verdict, count) in enumerate(counts.items()):
                line.append(", " if index else "").append(f"{count} {verdict}", STYLES.get(verdict, ""))
            parts += 1
    if not parts:
        line.append(_nothing_compared(evidence, when), "bold")
    compared = loaded.report["interval"]["comparisons"]
    how = (
        f"p corrected for all {compared} comparisons of the report"
        if compared
        else f"{evidence.dtype} on {evidence.device}"
    )
    if view_state.view == TABLE:
        match = "equal samples and tokens" if view_state.match == BOTH else f"equal {view_state.match}"
        how = f"{'all' if view_state.every else 'main'} metrics, {match} · {how}"
    if view_state.view == "items":
        how = f"left {view_state.left or 'no model'}, right {view_state.right or 'no model'}"
    if view_state.view == "run":
        how = "how these figures were measured"
    return line.append(f"\n{view_state.view}: ", "dim").append(sanitize(how), "dim")


def _counts(evidence: Evidence, equal: str) -> Counter[str]:
    """The number of comparisons with each verdict, for the main metric of each text."""
    return Counter(
        outcomes[evidence.metrics(text)[0]].verdict
        for comparison in evidence.comparisons
        if comparison.equal == equal
        for text, outcomes in comparison.texts.items()
    )


def _nothing_compared(evidence: Evidence, when: str) -> str:
    if len(evidence.rows) == 1:
        return with_time("Only the unquantized model is measured so far. The stage evaluate measures artefacts", when)
    needed = "There is nothing to compare yet. A comparison needs the baseline and a set of a source"
    return with_time(f"{needed}. The stage evaluate measures them", when)


def run_parts(body: dict[str, Any]) -> list[Part]:
    """The text of the view `run`: sentences about the activation spikes, and the facts of the run.

    `body` is the report as data. Without a report, the view is empty.

    Parts are (text, style). None stands for a gap between two parts.
    """
    if not body:
        return []
    spikes = [one["sentence"] for one in body["spikes"]["comparisons"]]
    lines = [formatting.plain(line) for line in run_lines(body) if line.startswith(("-", "  -"))]
    return [
        ("How spiky the activations are (pane 4 draws them)", "bold"),
        ("\n" + "\n".join(spikes or [NO_SPIKES]), ""),
        None,
        ("What was run", "bold"),
        ("\n" + "\n".join(lines), ""),
    ]
