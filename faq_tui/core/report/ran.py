"""What was run with which data."""

from __future__ import annotations

from typing import Any

from faq_tui.core.report.escape import escape
from faq_tui.core.settings import EMBEDDED


def ran(body: dict[str, Any]) -> list[str]:
    """Lines of Markdown."""
    facts = body["run"]
    return [
        "## What was run",
        "",
        f"- **Target**: {escape(facts['target']['name'])}"
        + (" (embedded)" if facts["target"]["model"] == EMBEDDED else ""),
        f"- **Seeds**: {escape(facts['seeds']['path'])}: {facts['seeds']['chosen']} regenerated, "
        f"{facts['seeds']['heldout']} held out, {facts['seeds']['pool']} in reserve "
        f"(draw {facts['seeds']['sample_seed']})",
        *(line for source in facts["sources"] for line in _source(source)),
        f"- **Judge**: {_judge(facts['judge'])}",
        f"- **Assembled**: at most {facts['assemble']['max_tokens']} tokens a sample, longer ones by "
        f"{facts['assemble']['overflow']}",
        *(_set(found) for found in facts["sets"]),
        *(f"- **Recipe**: {_pairs({k: v for k, v in r.items() if k != 'sets'})}" for r in facts["recipes"]),
        *(_text(text) for text in body["texts"]),
        *_evaluation(body),
        f"- **Measured**: {body['measured']}, with faq-tui {body['faq_tui']}",
        "",
    ]


def _source(s: dict[str, Any]) -> list[str]:
    unfit = ", ".join(f"{number} {escape(flag)}" for flag, number in sorted(s["unfit"].items()))
    return [
        f"- **Source {escape(s['name'])}**: {escape(s['model'])} at {escape(s['url'])}, "
        f"reasoning {s['reasoning']}, prompt version {escape(s['prompt_version'])}; {_pairs(s['sampling'])}",
        f"  - {s['candidates']} candidates ({s['candidates_per_seed']} a seed asked for): "
        + f"{s['fit']} finished and fit"
        + (f", unfit: {unfit}" if unfit else "")
        + f"; {s['with_reasoning']} with reasoning",
        f"  - picks: {s['picked_by_judge']} by the judge, {s['picked_by_person']} by a person, "
        f"{s['without_pick']} seeds without one",
    ]


def _judge(judge: dict[str, Any]) -> str:
    if judge["kind"] == "likelihood":
        return "likelihood (how probable the target itself finds an answer)"
    return f"{escape(judge['kind'])}: {escape(judge['model'])} at {escape(judge['url'])}"


def _set(found: dict[str, Any]) -> str:
    refused = ", ".join(f"{number} {escape(reason)}" for reason, number in found["refused"].items())
    cut = f", {found['cut']:,} tokens cut off" if found["cut"] else ""
    return f"- **Set {escape(found['name'])}**: {found['samples']:,} samples, {found['tokens']:,} tokens{cut}" + (
        f"; left out: {refused}" if refused else ""
    )


def _text(text: dict[str, Any]) -> str:
    size = f"{text['items']} items, {text['tokens']:,} predicted tokens"
    if text["kind"] == "answers":
        what = "the unquantized target's own answers to held-out seeds; token perplexity of the answers only"
    else:
        what = f"{escape(text['about'] or 'prose')}; token perplexity at window {text['window']}"
    return f"- **Held-out text {escape(text['name'])}**: {what}; {size}"


def _evaluation(body: dict[str, Any]) -> list[str]:
    e = body["evaluation"]
    name = f" ({escape(e['device_name'])})" if e["device_name"] else ""
    lines = [f"- **Evaluated on**: {escape(e['device'])}{name} in {escape(e['dtype'])}"]
    versions = ", ".join(
        f"{escape(package)} {escape(version)}" for package, version in e["versions"].items() if version
    )
    return [*lines, f"- **Versions**: {versions}"] if versions else lines


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{escape(name)} {escape(value)}" for name, value in values.items())
