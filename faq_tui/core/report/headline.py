"""The answer of the whole report in one sentence, and the report's first section, which begins with this sentence."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from faq_tui.core.evidence import BETTER, LEANS_BETTER, LEANS_WORSE, SAME, UNKNOWN, WITHIN_NOISE, WORSE
from faq_tui.core.report.answer import (
    BOTH_WAYS,
    MIXED,
    by_pair,
    effect,
    has_more_text,
    headline,
    in_short,
    is_planned,
    overall,
    verdict_counts,
)
from faq_tui.core.report.closest import closest_lines
from faq_tui.core.report.cost import cost_line
from faq_tui.core.report.formatting import escape

LONGEST = 600  # largest number of characters of the sentence
OUTCOMES = {
    BETTER: "clearly better",
    MIXED: "better on some texts and worse on others",
    LEANS_BETTER: "perhaps better",
    WITHIN_NOISE: "not visibly different",
    BOTH_WAYS: "unclear",
    LEANS_WORSE: "perhaps worse",
    WORSE: "clearly worse",
    SAME: "the same",
    UNKNOWN: "unknown, because too little was measured",
}
NOTHING = "Nothing is compared yet: first evaluate the models of the baseline and of a source"


def verdict(body: dict[str, Any]) -> list[str]:
    """The short answer and the notices, as lines of Markdown."""
    lines = ["## Did it help?", ""]
    lines += [f"> **Out of date**: {body['outdated']}.\n"] if body["outdated"] else []
    if len({(c["recipe"], c["source"]) for c in body["comparisons"]}) > 1:
        lines += [f"**{escape(one_sentence(body), LONGEST)}.**", ""]
    lines += in_short(body)
    lines += in_numbers(body)
    return lines + [f"> **{escape(n['source'])}**: {n['message']}.\n" for n in body["notices"]]


def in_numbers(body: dict[str, Any]) -> list[str]:
    """Which model to serve, what the run cost, and the size of each difference, as lines of Markdown."""
    if not body["comparisons"]:
        return []
    effects = [f"- {sentence}" for comparison in by_pair(body) if (sentence := effect(comparison, body))]
    costs, numbers = cost_line(body), [*closest_lines(body), *effects]
    return [*([costs, ""] if costs else []), *(["In numbers:", "", *numbers, ""] if numbers else [])]


def one_sentence(body: dict[str, Any]) -> str:
    """The answer in one sentence, without Markdown and without a full stop. `body` is what `document` returns.

    The sentence is about comparisons at equal tokens. If there is no such comparison, the sentence is about
    comparisons at equal samples.
    """
    pairs = dict.fromkeys((c["recipe"], c["source"]) for c in body["comparisons"])
    if not pairs:
        return NOTHING
    counts = {pair: verdict_counts(body, *pair) for pair in pairs}
    if len(pairs) == 1:
        ((pair, of_pair),) = counts.items()
        return headline(of_pair, is_planned(body, *pair), has_more_text(body, *pair))
    equal = "tokens" if any("tokens" in of_pair for of_pair in counts.values()) else "samples"
    found: dict[str, list[str]] = defaultdict(list)
    for (recipe, source), of_pair in counts.items():
        if equal in of_pair:
            found[overall(of_pair[equal])].append(f"{recipe} {source}")
    total = sum(map(len, found.values()))
    parts = [
        f"{words} in {len(found[verdict])}{_named(found[verdict], total)}"
        for verdict, words in OUTCOMES.items()
        if found[verdict]
    ]
    what = "amount of text" if equal == "tokens" else "number of samples"
    return f"With the same {what} on both sides, the quantized model is {', '.join(parts)} of {total} comparisons"


def _named(names: list[str], total: int) -> str:
    """The names in brackets. Returns "" if there are over two names, or if `names` contains all `total` names."""
    return f" ({', '.join(names)})" if len(names) <= 2 and len(names) < total else ""
