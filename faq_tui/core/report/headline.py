"""The verdict for someone who has never heard of KL: one line that answers, then one for each fair comparison."""

from __future__ import annotations

from collections import Counter
from typing import Any

from faq_tui.core.evidence import BETTER, LEANS_BETTER, LEANS_WORSE, SAME, UNKNOWN, WITHIN_NOISE, WORSE
from faq_tui.core.report.formatting import escape
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX

SAID = {
    BETTER: "clearly better on {}",
    LEANS_BETTER: "perhaps better on {}",
    WITHIN_NOISE: "no visible difference on {}",
    LEANS_WORSE: "perhaps worse on {}",
    WORSE: "clearly worse on {}",
    SAME: "the same model on {}",
    UNKNOWN: "too little measured on {}",
}
# What verdicts that point both ways amount to: some of them beyond noise, or none.
MIXED, BOTH_WAYS = "mixed", "leans both ways"
BY_TEXT = {
    BETTER: "Yes. This data kept the quantized model closer to the original, also {}",
    WORSE: "No. With the same amount of text on both sides the quantized model came out further from the original",
    MIXED: "Mixed: {} some held-out texts speak for this data and others against it",
    LEANS_BETTER: "Perhaps: {} this data leans to better, which may be luck",
    LEANS_WORSE: "Probably not: {} this data leans to worse, which may be luck",
    BOTH_WAYS: "Unclear: {} this data leans both ways, which may be luck",
    WITHIN_NOISE: "No difference could be seen {}",
    SAME: "Nothing can differ: both sides were calibrated on the very same tokens",
    UNKNOWN: "Cannot be told: {} too little was measured, or a number is not finite",
}
EVEN = "with the same amount of text on both sides"
MORE_TEXT = "Only by bringing more text: with the same amount of it on both sides no gain is left"
BY_QUESTIONS = {
    BETTER: "Better",
    WORSE: "Worse",
    MIXED: "Mixed",
    LEANS_BETTER: "Perhaps better",
    LEANS_WORSE: "Perhaps worse",
    BOTH_WAYS: "Unclear",
    WITHIN_NOISE: "No visible difference",
    SAME: "The same model",
    UNKNOWN: "Cannot be told",
}
UNFAIR = "{} with the same number of questions; the same amount of text, the fairer test, was not compared"


def in_short(body: dict[str, Any]) -> list[str]:
    """Lines of Markdown; none without a comparison. `body` is what `document` returns."""
    pairs = dict.fromkeys((c["recipe"], c["source"]) for c in body["comparisons"])
    lines: list[str] = []
    for recipe, source in pairs:
        ours = [c for c in body["comparisons"] if (c["recipe"], c["source"]) == (recipe, source)]
        counts = {c["equal"]: _verdicts(c, body) for c in ours}
        about = f" ({escape(recipe)}, {escape(source)})" if len(pairs) > 1 else ""
        lines += [f"**In short{about}: {headline(counts)}.**", ""]
        lines += [f"- {_line(c, counts[c['equal']])}" for c in ours]
        lines.append("")
    return lines


def headline(counts: dict[str, Counter[str]]) -> str:
    """`counts`: what is equal (samples, tokens) to how often each verdict fell, on the main metric of each text."""
    if "tokens" not in counts:
        return UNFAIR.format(BY_QUESTIONS[_together(counts["samples"])])
    found = _together(counts["tokens"])
    gained = _together(counts.get("samples", Counter())) in (BETTER, LEANS_BETTER)
    if found == WITHIN_NOISE and gained:
        if not counts["tokens"][UNKNOWN]:
            return MORE_TEXT
        found = UNKNOWN
    return BY_TEXT[found].format(EVEN)


def _together(counts: Counter[str]) -> str:
    """What the verdicts of all texts amount to."""
    if counts[BETTER] + counts[LEANS_BETTER] and counts[WORSE] + counts[LEANS_WORSE]:
        return MIXED if counts[BETTER] + counts[WORSE] else BOTH_WAYS
    told = (BETTER, WORSE, LEANS_BETTER, LEANS_WORSE, WITHIN_NOISE, SAME)
    return next((verdict for verdict in told if counts[verdict]), UNKNOWN)


def _verdicts(comparison: dict[str, Any], body: dict[str, Any]) -> Counter[str]:
    mains = {text["name"]: text["metrics"][0] for text in body["texts"]}
    return Counter(outcomes[mains[text]]["verdict"] for text, outcomes in comparison["texts"].items())


def _line(c: dict[str, Any], counts: Counter[str]) -> str:
    total = sum(counts.values())
    first, *others = [word for word in SAID if counts[word]]
    said = [f"{SAID[first].format(counts[first])} of {total} held-out texts"]
    said += [SAID[word].format(counts[word]) for word in others]
    other = str(c["baseline"]).removeprefix(f"{c['recipe']}-").removesuffix(TOKENS_SUFFIX)
    than = "" if other == BASELINE else f" as in {escape(other)}"
    sizes = (
        f"{c['our_samples']:,} questions on both sides, {c['our_tokens']:,} tokens against {c['baseline_tokens']:,}"
        if c["equal"] == "samples"
        else f"{c['our_tokens']:,} tokens on both sides, {c['our_samples']:,} questions against "
        f"{c['baseline_samples']:,}"
    )
    sizes += f"; means of {c['draws']} draws" if c["draws"] > 1 else ""
    what = "number of questions" if c["equal"] == "samples" else "amount of text"
    return f"With the same {what}{than}: {', '.join(said)} ({sizes})."
