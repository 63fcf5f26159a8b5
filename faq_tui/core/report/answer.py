"""The plain-words answer at the top: did it help?"""

from __future__ import annotations

from typing import Any

from faq_tui.core.evaluation.metrics import KL, METRICS
from faq_tui.core.evidence import SAME
from faq_tui.core.report import numbers
from faq_tui.core.report.escape import escape

DRAW_SPREAD = 0.01  # KL between draws of a calibration set, as we saw it (SmolLM2-135M, GPTQ INT4)

CAVEAT = (
    "The intervals cover which held-out items were measured. They do not cover which seeds happened to be "
    "drawn for calibration: in our own probes (SmolLM2-135M, GPTQ INT4) another draw alone moved KL by about "
    f"±{DRAW_SPREAD}. Repeat a run with another `seeds.sample_seed` before you trust a small difference."
)


def answer(body: dict[str, Any]) -> list[str]:
    """Lines of Markdown."""
    lines = ["## Did it help?", ""]
    lines += [f"> **{escape(n['source'])}**: {n['message']}.\n" for n in body["notices"]]
    if not body["comparisons"]:
        return [*lines, _nothing(body), ""]
    seen: set[tuple[str, str]] = set()
    for comparison in body["comparisons"]:
        about = (comparison["recipe"], comparison["source"])
        if about not in seen:
            seen.add(about)
            lines += [
                f"**{escape(about[0])}, calibrated on {escape(about[1])} instead of the plain seeds:**",
                "",
            ]
        lines += [*_comparison(comparison), ""]
    return [*lines, CAVEAT, ""]


def _nothing(body: dict[str, Any]) -> str:
    if not body["run"]["sources"]:
        return "There is no source in the settings, so there is nothing to compare the baseline with."
    return "No source's model and its baseline are both measured yet, so there is nothing to compare."


def _comparison(c: dict[str, Any]) -> list[str]:
    verdicts = "; ".join(f"{outcomes[KL]['verdict']} on {escape(text)}" for text, outcomes in c["texts"].items())
    lines = [
        f"- **At equal {c['equal']}: {verdicts}.** {escape(c['source'])}: {_size(c, 'our')}; "
        f"baseline: {_size(c, 'baseline')}."
    ]
    if c["same"]:
        return [
            *lines,
            "  - Both sides hold the same token ids, so they are the same model: nothing can differ.",
        ]
    return lines + [f"  - On {escape(text)}: {_outcomes(outcomes)}." for text, outcomes in c["texts"].items()]


def _size(c: dict[str, Any], side: str) -> str:
    return f"{c[f'{side}_samples']:,} samples, {c[f'{side}_tokens']:,} tokens"


def _outcomes(outcomes: dict[str, dict[str, Any]]) -> str:
    return "; ".join(_outcome(metric, outcomes[metric]) for metric in METRICS) + _too_close(outcomes[KL])


def _outcome(metric: str, found: dict[str, Any]) -> str:
    ours, baseline = (numbers.value(metric, found[side]) for side in ("ours", "baseline"))
    difference = found["difference"]
    text = (
        f"{numbers.NAMES[metric]} {ours} against {baseline}: {found['verdict']} "
        f"({numbers.change(metric, difference['value'])}, 95% interval {numbers.interval(metric, difference)}"
    )
    recovered = numbers.share(found["recovered"])
    return f"{text})" if recovered == numbers.MISSING else f"{text}, loss recovered {recovered})"


def _too_close(kl: dict[str, Any]) -> str:
    difference = kl["difference"]["value"]
    if kl["verdict"] == SAME or difference is None or abs(difference) >= DRAW_SPREAD:
        return ""
    return f"; a KL difference below {DRAW_SPREAD} can turn around with another draw of the calibration set"
