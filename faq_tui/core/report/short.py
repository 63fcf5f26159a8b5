"""The verdict for someone who has never heard of KL: one line that answers, then one for each fair comparison."""

from __future__ import annotations

from collections import Counter
from typing import Any

from faq_tui.core.evidence import BETTER, LEANS_BETTER, LEANS_WORSE, SAME, UNKNOWN, WITHIN_NOISE, WORSE
from faq_tui.core.report.escape import escape
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
YES = (
    "Yes. This data kept the quantized model closer to the original, also with the same amount of text on both sides"
)
NO = "No. With the same amount of text on both sides the quantized model came out further from the original"
MIXED = "Mixed: with the same amount of text on both sides this data is better on some texts and worse on others"
MORE_TEXT = "Only by bringing more text: with the same amount of it on both sides no gain is left"
PERHAPS = "Perhaps: with the same amount of text on both sides this data leans to better, which may be luck"
HARDLY = "Probably not: with the same amount of text on both sides this data leans to worse, which may be luck"
UNCLEAR = "Unclear: with the same amount of text on both sides this data leans both ways, which may be luck"
NOTHING = "No difference could be seen"
UNFAIR = "{} with the same number of questions; the same amount of text, the fairer test, was not compared"
SAME_MODEL = "Nothing can differ: both sides were calibrated on the very same tokens"


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
    tokens, samples = counts.get("tokens"), counts.get("samples", Counter())
    if tokens is None:
        gained = samples[BETTER] or samples[LEANS_BETTER]
        return UNFAIR.format("Better" if gained else "No gain")
    if tokens[BETTER] or tokens[WORSE]:
        return MIXED if tokens[BETTER] and tokens[WORSE] else YES if tokens[BETTER] else NO
    if tokens[LEANS_BETTER] or tokens[LEANS_WORSE]:
        both = tokens[LEANS_BETTER] and tokens[LEANS_WORSE]
        return UNCLEAR if both else PERHAPS if tokens[LEANS_BETTER] else HARDLY
    if tokens[SAME] and not tokens[WITHIN_NOISE]:
        return SAME_MODEL
    return MORE_TEXT if samples[BETTER] or samples[LEANS_BETTER] else NOTHING


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
    what = "number of questions" if c["equal"] == "samples" else "amount of text"
    return f"With the same {what}{than}: {', '.join(said)} ({sizes})."
