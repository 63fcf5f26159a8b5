"""The section that lists the models, data and settings of the run."""

from __future__ import annotations

from typing import Any

from faq_tui.core.base.text import counted
from faq_tui.core.report.facts import judge_lines
from faq_tui.core.report.formatting import escape
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.settings.sets import PROSE

WAYS = {
    "generation_prompt": "built from the generation prompt, because the chat template removes reasoning",
    PROSE: "rows of plain text",
    "inline": "with the reasoning inside the answer text, because the chat template has no part for reasoning",
}
KINDS = {
    "raw": "texts without the chat template",
    "template": "questions in the chat template",
    "original": "questions and original answers in the chat template",
}


def run_lines(body: dict[str, Any]) -> list[str]:
    """The section as lines of Markdown."""
    facts = body["run"]
    return [
        "## What was run",
        "",
        f"- **Target**: {escape(facts['target']['name'])}"
        + (" (embedded)" if facts["target"]["model"] == EMBEDDED else ""),
        f"- **Seeds**: {escape(facts['seeds']['path'])}: {facts['seeds']['chosen']} regenerated, "
        f"{facts['seeds']['heldout']} held out, {facts['seeds']['pool']} unused "
        f"(random seed {facts['seeds']['sample_seed']})",
        *(line for source in facts["sources"] for line in _source(source)),
        *judge_lines(facts["judge"]),
        f"- **Assembled**: at most {facts['assemble']['max_tokens']} tokens per sample; longer samples: "
        f"{facts['assemble']['overflow']}",
        *(_set(one) for one in facts["sets"]),
        *(f"- **Recipe**: {_pairs(_without_sets(recipe))}" for recipe in facts["recipes"]),
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
        f"  - {counted(s['candidates'], 'candidate')} ({s['candidates_per_seed']} requested per seed): "
        + f"{s['fit']} finished and usable"
        + (f", unusable: {unfit}" if unfit else "")
        + f"; {s['with_reasoning']} with reasoning",
        f"  - {escape(s['family']['verdict'] if s['family']['known'] else 'family unknown')}: "
        f"{escape('; '.join(s['family']['reasons']))}",
        f"  - picks: {s['picked_by_judge']} by the judge, {s['picked_by_person']} by a person, "
        f"{counted(s['without_pick'], 'seed')} without a pick",
    ]


def _set(made: dict[str, Any]) -> str:
    refused = ", ".join(f"{number} {escape(reason)}" for reason, number in made["refused"].items())
    line = f"- **Set {escape(made['name'])}**: {_made_from(made['plan'])}{counted(made['samples'], 'sample')}, "
    line += counted(made["tokens"], "token")
    if made["cut"]:
        line += f", {counted(made['cut'], 'token')} cut off ({made['kept']:.0%} kept)"
    if made["answered"]:
        line += f"; {made['whole_answers']:,} of {made['answered']:,} samples hold the whole answer"
    built = {way: number for way, number in made["ways"].items() if way in WAYS}
    line += "".join(f"; {number:,} {WAYS[way]}" for way, number in built.items())
    return line + (f"; left out: {refused}" if refused else "")


def _made_from(plan: dict[str, Any] | None) -> str:
    """Describe the settings of a set. Settings with their default value are left out."""
    if plan is None:
        return "cut to the same number of tokens; "
    words = []
    file = plan.get("prose_file")
    if file or len(plan["made_from"]) > 1:
        of_file = {PROSE: f" (share of tokens, from {escape(file)})"} if file else {}
        parts = [f"{share:.0%} {escape(part)}{of_file.get(part, '')}" for part, share in plan["made_from"].items()]
        words.append(f"from {' and '.join(parts)}")
    if plan["kind"] != "seed":
        words.append(KINDS[plan["kind"]])
    words += ["answers only"] if plan["answer_only"] else []
    words += [f"answers cut after {plan['answers_cut']} tokens"] if plan.get("answers_cut") else []
    words += [f"at most {plan['tokens_per_sample']} tokens per sample"] if plan["tokens_per_sample"] else []
    words += [f"ordered by {plan['select']}"] if plan["select"] else []
    words += [f"as many {unit} as {escape(other)}" for unit, other in plan["match"].items() if other]
    return f"{', '.join(words)}; " if words else ""


def _text(text: dict[str, Any]) -> str:
    size = counted(text["items"], "item")
    if text["tokens"] is not None:
        size += f", {counted(text['tokens'], 'predicted token')}"
    return f"- **Held-out text {escape(text['title'])}**: {escape(text['about'] or text['kind'])}; {size}"


def _evaluation(body: dict[str, Any]) -> list[str]:
    e = body["evaluation"]
    name = f" ({escape(e['device_name'])})" if e["device_name"] else ""
    # If there are no held-out texts, only public benchmarks ran. The section on benchmarks names the programs.
    if not body["texts"]:
        return []
    lines = [f"- **Evaluated on**: {escape(e['device'])}{name} in {escape(e['dtype'])}"]
    versions = ", ".join(
        f"{escape(package)} {escape(version)}" for package, version in e["versions"].items() if version
    )
    return [*lines, f"- **Versions**: {versions}"] if versions else lines


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{escape(name)} {escape(value)}" for name, value in values.items())


def _without_sets(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe's keys without `sets`, because the report shows the sets on separate lines."""
    return {key: value for key, value in recipe.items() if key != "sets" and value is not None}
