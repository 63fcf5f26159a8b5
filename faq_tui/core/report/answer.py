"""The answer of the report in words, and the list of every metric of every comparison.

Each pair of a recipe and a source gets one line with its answer, followed by one line for each comparison.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from faq_tui.core.base.text import counted
from faq_tui.core.evaluation.kinds import ANSWERS, PROSE
from faq_tui.core.evaluation.metrics import KL
from faq_tui.core.evidence import BETTER, LEANS_BETTER, LEANS_WORSE, SAME, UNKNOWN, WITHIN_NOISE, WORSE
from faq_tui.core.extensions import METRICS
from faq_tui.core.report import formatting
from faq_tui.core.report.formatting import escape
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX

PHRASES = {
    BETTER: "clearly better on {count}",
    LEANS_BETTER: "perhaps better on {count}",
    WITHIN_NOISE: "no visible difference on {count}",
    LEANS_WORSE: "perhaps worse on {count}",
    WORSE: "clearly worse on {count}",
    SAME: "the same model on {count}",
    UNKNOWN: "too little was measured on {count}",
}
# The overall verdict if our model is better on some texts and worse on others: MIXED if at least one of these
# differences is larger than noise, otherwise BOTH_WAYS.
MIXED, BOTH_WAYS = "mixed", "leans both ways"
BY_TEXT = {
    BETTER: (
        "Yes. With this data, the quantized model is closer to the original, even with the same amount of text on "
        "both sides"
    ),
    WORSE: (
        "No. With the same amount of text on both sides, this data makes the quantized model worse, that is, further "
        "from the original"
    ),
    MIXED: (
        "Mixed. With the same amount of text on both sides, this data helped on some held-out texts and hurt on "
        "others"
    ),
    LEANS_BETTER: (
        "Perhaps. With the same amount of text on both sides, this data looks better, but chance can explain the "
        "difference"
    ),
    LEANS_WORSE: (
        "No gain was seen. With the same amount of text on both sides, this data looks worse, but chance can explain "
        "the difference"
    ),
    BOTH_WAYS: (
        "Unclear. With the same amount of text on both sides, this data looks better on some texts and worse on "
        "others, but chance can explain this"
    ),
    WITHIN_NOISE: "No difference could be seen with the same amount of text on both sides",
    SAME: "No difference is possible: both models were calibrated on the same tokens",
    UNKNOWN: (
        "Unknown. For the comparison with the same amount of text on both sides, too little was measured, or a "
        "measured number is not finite"
    ),
}
MORE_TEXT = "No. The gain comes from having more text: with the same amount of text on both sides, there is no gain"
BY_SAMPLES = {
    BETTER: "Better",
    WORSE: "Worse",
    MIXED: "Mixed",
    LEANS_BETTER: "Perhaps better",
    LEANS_WORSE: "Perhaps worse",
    BOTH_WAYS: "Unclear",
    WITHIN_NOISE: "No visible difference",
    SAME: "The same model",
    UNKNOWN: "Unknown",
}
TOO_LITTLE = "too little was measured to tell"
UNFAIR = "{outcome} with the same number of samples. The fairer comparison, with the same amount of text, {made}"


def in_short(body: dict[str, Any]) -> list[str]:
    """The short answer as lines of Markdown.

    The list is empty if nothing was compared. `body` is what `document` returns.
    """
    pairs = dict.fromkeys((c["recipe"], c["source"]) for c in body["comparisons"])
    lines: list[str] = []
    for recipe, source in pairs:
        ours = [c for c in by_pair(body) if (c["recipe"], c["source"]) == (recipe, source)]
        counts = verdict_counts(body, recipe, source)
        about = f" ({escape(recipe)}, {escape(source)})" if len(pairs) > 1 else ""
        answer = headline(counts, is_planned(body, recipe, source), has_more_text(body, recipe, source))
        lines += [f"**In short{about}: {answer}.**", ""]
        lines += [f"- {_line(c, counts[c['equal']])}" for c in ours]
        lines.append("")
    return lines


def by_pair(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The comparisons, grouped by recipe and source. Comparisons at equal tokens come first in each group."""
    pairs = list(dict.fromkeys((c["recipe"], c["source"]) for c in body["comparisons"]))
    return sorted(
        body["comparisons"], key=lambda c: (pairs.index((c["recipe"], c["source"])), c["equal"] != "tokens")
    )


def verdict_counts(body: dict[str, Any], recipe: str, source: str) -> dict[str, Counter[str]]:
    """Count the verdicts of the comparisons of one recipe and one source, as `headline` needs them."""
    ours = [c for c in body["comparisons"] if (c["recipe"], c["source"]) == (recipe, source)]
    return {c["equal"]: _verdicts(c, body) for c in ours}


def is_planned(body: dict[str, Any], recipe: str, source: str) -> bool:
    """True if the comparison at equal tokens of a recipe and a source is planned, but not made yet."""
    return {"recipe": recipe, "source": source} in body.get("not_yet", [])


def has_more_text(body: dict[str, Any], recipe: str, source: str) -> bool:
    """True if our set has more tokens than the other set in the comparison at equal samples."""
    ours = (c for c in body["comparisons"] if (c["recipe"], c["source"], c["equal"]) == (recipe, source, "samples"))
    return any(c["our_tokens"] > c["baseline_tokens"] for c in ours)


def headline(counts: dict[str, Counter[str]], is_planned: bool = False, more_text: bool = False) -> str:
    """The answer in one line.

    `counts` holds the number of texts with each verdict. `counts["samples"]` is for two sets with equally many
    samples, and `counts["tokens"]` is for two sets with equally many tokens. The verdict on a text is the verdict on
    its main metric. `is_planned` is true if the comparison at equal tokens is planned, but not made yet. `more_text`
    is the result of `has_more_text`.
    """
    if "tokens" not in counts:
        made = "is not made yet" if is_planned else "was not made"
        return UNFAIR.format(outcome=BY_SAMPLES[overall(counts["samples"])], made=made)
    verdict = overall(counts["tokens"])
    gained = overall(counts.get("samples", Counter())) in (BETTER, LEANS_BETTER)
    if verdict == WITHIN_NOISE and gained:
        if not counts["tokens"][UNKNOWN]:
            return MORE_TEXT if more_text else BY_TEXT[verdict]
        verdict = UNKNOWN
    unknown = counts["tokens"][UNKNOWN]
    if verdict == UNKNOWN or not unknown:
        return BY_TEXT[verdict]
    return f"{BY_TEXT[verdict]}. On {unknown} of {counts['tokens'].total()} held-out texts, {TOO_LITTLE}"


def overall(counts: Counter[str]) -> str:
    """The overall verdict over all texts."""
    if counts[BETTER] + counts[LEANS_BETTER] and counts[WORSE] + counts[LEANS_WORSE]:
        return MIXED if counts[BETTER] + counts[WORSE] else BOTH_WAYS
    by_priority = (BETTER, WORSE, LEANS_BETTER, LEANS_WORSE, WITHIN_NOISE, SAME)
    return next((verdict for verdict in by_priority if counts[verdict]), UNKNOWN)


def _verdicts(comparison: dict[str, Any], body: dict[str, Any]) -> Counter[str]:
    mains = {text["name"]: text["metrics"][0] for text in body["texts"]}
    return Counter(outcomes[mains[text]]["verdict"] for text, outcomes in comparison["texts"].items())


def _line(c: dict[str, Any], counts: Counter[str]) -> str:
    total = sum(counts.values())
    first, *others = [word for word in PHRASES if counts[word]]
    parts = [f"{PHRASES[first].format(count=counts[first])} of {total} held-out texts"]
    parts += [PHRASES[word].format(count=counts[word]) for word in others]
    other = str(c["baseline"]).removeprefix(f"{c['recipe']}-").removesuffix(TOKENS_SUFFIX)
    than = "" if other == BASELINE else f" as in {escape(other)}"
    samples, tokens = counted(c["our_samples"], "sample"), counted(c["our_tokens"], "token")
    sizes = (
        f"both sets have {samples}; our set has {tokens}, and the other set has {c['baseline_tokens']:,}"
        if c["equal"] == "samples"
        else f"both sets have {tokens}; our set has {samples}, and the other set has {c['baseline_samples']:,}"
    )
    sizes += f"; these numbers are means over {c['draws']} draws" if c["draws"] > 1 else ""
    what = "number of samples" if c["equal"] == "samples" else "amount of text"
    return f"With the same {what}{than}: {', '.join(parts)} ({sizes})."


def effect(c: dict[str, Any], body: dict[str, Any]) -> str:
    """The size of the difference on one text, by the text's main metric, as a sentence of Markdown.

    If held-out answers were measured, they are this text. The result is empty if nothing was measured.
    """
    texts = sorted((t for t in body["texts"] if t["name"] in c["texts"]), key=lambda text: text["kind"] != ANSWERS)
    if not texts or c["same"]:
        return ""
    metric, draws = texts[0]["metrics"][0], c["draws"]
    outcome = c["texts"][texts[0]["name"]][metric]
    theirs, ours = (formatting.value(metric, outcome[side]) for side in ("baseline", "ours"))
    difference = outcome["difference"]
    share = ""
    if outcome["baseline"] and difference["value"] is not None and not METRICS.get(metric).percent:
        share = f" ({100 * difference['value'] / outcome['baseline']:+.0f}%)"
    pair = f"{escape(c['recipe'])}, {escape(c['source'])}, at equal {c['equal']}"
    change = formatting.change(metric, difference["value"])
    interval = formatting.interval_in_words(metric, difference)
    return (
        f"{pair}: {formatting.metric_title(metric)} on {escape(texts[0]['title'])} {ours}, and {theirs} with "
        f"{escape(held_against(c))}; difference {change}{share}, {interval} "
        f"from {counted(draws, 'draw')}."
    )


CAVEAT = (
    "The intervals account for the random choice of held-out items. They do not account for the random choice of "
    "calibration seeds: in our own tests (SmolLM2-135M, GPTQ INT4), a new draw of the seeds changed KL by about "
    f"±{KL.close[PROSE]} nats per token. Set `evaluate.repeats` to 3 or more before you trust a small difference."
)
COVERED = (
    "The intervals account for the random choice of held-out items and of calibration samples. For this, every set "
    "was drawn {draws} times, and a model was quantized and measured for each draw."
)
SHARED = (
    " The draws share seeds: each uses {seeds} of the same {total} seeds. Draws of new seeds would differ more, so "
    "the intervals are widened to correct for this. To make the result more certain, add seeds rather than draws."
)
HOW_TO_READ = (
    "How to read this: the same model is quantized twice, that is, its weights are stored in fewer bits. One of the "
    "quantized models is calibrated on plain questions, the other on regenerated answers. Both quantized models are "
    "compared with the model before quantization, and the closer model is better. A sample is a conversation or a "
    "piece of prose. At equal *samples*, both sets have the same number of samples, but one set may have more text, "
    "which helps by itself. Regenerated sets have more text unless their answers are cut. At equal *tokens*, both "
    "sets have the same amount of text, so this is the fairer comparison. *Better* and *worse* mark differences that "
    "are larger than noise. *Leans* marks a difference that would count as real if the report had no other "
    "comparison. With many comparisons, chance alone produces such differences. *Within noise* means that no "
    "difference could be measured."
)


def details(body: dict[str, Any]) -> list[str]:
    """List every metric of every comparison, and explain how to read the metrics, in lines of Markdown."""
    lines: list[str] = []
    if not body["comparisons"]:
        return [*lines, _nothing(body), ""]
    seen: set[tuple[str, str, str]] = set()
    for comparison in by_pair(body):
        other = held_against(comparison)
        about = (comparison["recipe"], comparison["source"], other)
        if about not in seen:
            seen.add(about)
            instead = "the plain seeds" if other == BASELINE else escape(other)
            lines += [f"**{escape(about[0])}, calibrated on {escape(about[1])} instead of {instead}:**", ""]
        lines += [*_comparison(comparison, {text["name"]: text for text in body["texts"]}), ""]
    draws = min(comparison["draws"] for comparison in body["comparisons"])
    return [*lines, HOW_TO_READ, "", CAVEAT if draws == 1 else covered(body), ""]


def covered(body: dict[str, Any]) -> str:
    """Say which kinds of chance the intervals over several draws account for, and which they do not."""
    draws, shared = min(comparison["draws"] for comparison in body["comparisons"]), body["run"]["shared_seeds"]
    return COVERED.format(draws=draws) + (SHARED.format(**shared) if shared else "")


def _nothing(body: dict[str, Any]) -> str:
    if not body["texts"]:  # a run without held-out texts has a report only if it has results of benchmarks
        return "No held-out text was measured. The section Benchmarks compares the models."
    if not body["run"]["sources"]:
        return "There is nothing to compare, because the settings have no source."
    return (
        "There is nothing to compare. A comparison needs a model with regenerated data and its baseline, and both "
        "must be measured on the same held-out text."
    )


def _comparison(c: dict[str, Any], texts: dict[str, dict[str, Any]]) -> list[str]:
    verdicts = "; ".join(
        f"{outcomes[texts[text]['metrics'][0]]['verdict']} on {escape(texts[text]['title'])}"
        for text, outcomes in c["texts"].items()
    )
    lines = [
        f"- **At equal {c['equal']}: {verdicts}.** {escape(c['source'])}: {_size(c, 'our')}; "
        f"{escape(held_against(c))}: {_size(c, 'baseline')}."
    ]
    if c["same"]:
        return [
            *lines,
            "  - Both sets have the same token ids, so both models are identical.",
        ]
    return lines + [
        f"  - On {escape(texts[text]['title'])}: {_outcomes(texts[text], outcomes, c['draws'])}."
        for text, outcomes in c["texts"].items()
    ]


def held_against(c: dict[str, Any]) -> str:
    """The name of the set that our set is compared with.

    The other set is the baseline, or the set that gave our set its size.

    If the baseline was cut to the same number of tokens, its name is still "baseline".
    """
    name = str(c["baseline"]).removeprefix(f"{c['recipe']}-")
    return BASELINE if name == f"{BASELINE}{TOKENS_SUFFIX}" else name


def compared_sets(c: dict[str, Any]) -> str:
    """The name of our set. If it is not compared with the baseline, the name of the other set is added."""
    other = held_against(c)
    return str(c["source"]) if other == BASELINE else f"{c['source']} against {other}"


def _size(c: dict[str, Any], side: str) -> str:
    mean = f" (mean of {c['draws']} draws)" if c["draws"] > 1 else ""
    return f"{c[f'{side}_samples']:,} samples, {c[f'{side}_tokens']:,} tokens{mean}"


def _outcomes(text: dict[str, Any], outcomes: dict[str, dict[str, Any]], draws: int) -> str:
    measured = [metric for metric in text["metrics"] if metric in outcomes]
    parts = [_outcome(metric, outcomes[metric]) for metric in measured]
    if draws == 1:
        parts += [note for metric in measured if (note := _too_close(metric, text["kind"], outcomes[metric]))]
    return "; ".join(parts)


def _outcome(metric: str, outcome: dict[str, Any]) -> str:
    ours, baseline = (formatting.value(metric, outcome[side]) for side in ("ours", "baseline"))
    difference = outcome["difference"]
    text = (
        f"{formatting.metric_title(metric)} {ours} against {baseline}: {outcome['verdict']} "
        f"({formatting.change(metric, difference['value'])}, {formatting.interval_in_words(metric, difference)}"
    )
    recovered = formatting.share(outcome["recovered"])
    return f"{text})" if recovered == formatting.MISSING else f"{text}, loss recovered {recovered})"


def _too_close(metric: str, kind: str, outcome: dict[str, Any]) -> str:
    """A warning if another draw of the calibration set could cause a difference of this size; otherwise ""."""
    close, difference = METRICS.get(metric).close.get(kind), outcome["difference"]["value"]
    if close is None or outcome["verdict"] == SAME or difference is None or abs(difference) >= close:
        return ""
    name = formatting.metric_title(metric)
    return f"a {name} difference below {close} can change its sign with another draw of the calibration set"
