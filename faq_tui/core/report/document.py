"""Gather the content of the report as plain data: `report.json`. All other formats are made from this data."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import faq_tui
from faq_tui.core.evaluation import environment
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, GREEDY, LAST_WORD, PROSE, WORDS
from faq_tui.core.evidence import Comparison, Evidence, collect
from faq_tui.core.evidence.compare import planned
from faq_tui.core.extensions import METRICS
from faq_tui.core.report.benchmarks import benchmarks
from faq_tui.core.report.closest import closest
from faq_tui.core.report.cost import cost
from faq_tui.core.report.facts import what_was_run
from faq_tui.core.report.family_notices import notices
from faq_tui.core.report.flips import flips
from faq_tui.core.report.outdated import outdated
from faq_tui.core.report.paper import paper
from faq_tui.core.report.spikes import spikes
from faq_tui.core.report.unequal_sets import unequal_notices
from faq_tui.core.run.run import Run
from faq_tui.core.stats.bootstrap import LEVEL

SCHEMA = 2
TITLES = {
    ANSWERS: "answers of {}",
    LAST_WORD: "last words ({})",
    WORDS: "words of {}",
    CHOICES: "multiple choice ({})",
}


def document(run: Run, evidence: Evidence | None = None, changed_stage: str | None = None) -> dict[str, Any]:
    """The content of the report of `run`. A number that is not finite becomes None (null in JSON).

    A caller that already has the result of `collect` can pass this result as `evidence`. `changed_stage` is described
    in `outdated`. Raises UsageError if nothing is measured.
    """
    evidence = collect(run) if evidence is None else evidence
    known = environment.read_environment(run)
    body = {
        "schema": SCHEMA,
        "faq_tui": faq_tui.__version__,
        "measured": datetime.fromtimestamp(evidence.measured, UTC).isoformat(timespec="seconds"),
        "interval": {
            "level": LEVEL,
            "resamples": run.settings.evaluate.bootstrap,
            "over": "items" if run.settings.evaluate.repeats == 1 else "draws and items",
            "corrected": "benjamini-hochberg",
            "comparisons": sum(
                outcome.p is not None and not METRICS.get(name).of_tokens
                for c in evidence.comparisons
                for o in c.texts.values()
                for name, outcome in o.items()
            ),
        },
        "outdated": outdated(run, changed_stage),
        "notices": [*notices(run), *unequal_notices(run)],
        "texts": _texts(evidence, known),
        "models": [asdict(row) for row in evidence.rows],
        "comparisons": [_comparison(comparison) for comparison in evidence.comparisons],
        "not_yet": _not_yet(run, evidence),
        # an empty `draws_needed` is left out, so that reports of runs by older versions do not change
        **({"draws_needed": [asdict(one) for one in evidence.draws_needed]} if evidence.draws_needed else {}),
        # left out if the held-out seeds have fewer than two categories with enough answers
        **({"by_category": [asdict(one) for one in evidence.by_category]} if evidence.by_category else {}),
        "closest": closest(run, evidence),
        "cost": cost(run),
        "flips": flips(run, evidence),
        "paper": paper(run),
        "spikes": spikes(run),
        "benchmarks": benchmarks(run),
        "run": what_was_run(run),
        "evaluation": {
            "device": evidence.device,
            "device_name": known.get("device_name"),
            "dtype": evidence.dtype,
            "versions": known.get("versions", {}),
        },
    }
    plain: dict[str, Any] = json_value(body)
    return plain


def _texts(evidence: Evidence, known: dict[str, Any]) -> list[dict[str, Any]]:
    about = known.get("texts", {})
    return [
        {
            **asdict(text),
            "title": title(text.name, text.kind),
            "metrics": evidence.metrics(text.name),
            "about": about.get(text.name),
        }
        for text in evidence.texts
    ]


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data. Numbers that only `draws_needed` uses are left out."""
    body = asdict(comparison)
    for outcomes in body["texts"].values():
        for outcome in outcomes.values():
            del outcome["spread"], outcome["whole_half"]
    return body


def _not_yet(run: Run, evidence: Evidence) -> list[dict[str, str]]:
    """The pairs of a recipe and a source whose comparison at equal tokens is planned, but not made yet."""
    made = {(c.recipe, c.source) for c in evidence.comparisons if c.equal == "tokens"}
    pairs = [(recipe, source) for recipe, source, equal in planned(run) if equal == "tokens"]
    return [{"recipe": recipe, "source": source} for recipe, source in pairs if (recipe, source) not in made]


def title(name: str, kind: str) -> str:
    """The name of a held-out text as readers see it."""
    rest = name.partition(":")[2]
    if kind == GREEDY:
        return "greedy answers"
    if kind == PROSE or not rest:
        return name
    return TITLES[kind].format(rest)


def json_value(value: Any) -> Any:
    """Convert the value to types that JSON has. A number that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(name): json_value(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
