"""Each source's set against the baseline's, under the same recipe: at equal samples, and at equal tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator

from faq_tui.core.evaluation.bootstrap import Estimate, difference, recovered
from faq_tui.core.evaluation.identity import UNQUANTIZED, wanted_artefacts
from faq_tui.core.evaluation.metrics import HIGHER_IS_BETTER, METRICS, Sums, plain
from faq_tui.core.evidence.model import BETTER, SAME, UNKNOWN, WITHIN_NOISE, WORSE, Comparison, Outcome
from faq_tui.core.run import Run
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.store.artefacts import Artefact

SUFFIXES = {"samples": "", "tokens": TOKENS_SUFFIX}


def compare_all(run: Run, measured: dict[str, dict[str, Sums]]) -> tuple[Comparison, ...]:
    """`measured`: subject to text to sums. Only where both artefacts exist and are measured."""
    return tuple(
        _compare(run, measured, recipe, source, equal, ours, theirs)
        for recipe, source, equal, ours, theirs in _pairs(run)
        if ours.folder in measured and theirs.folder in measured
    )


def _pairs(run: Run) -> Iterator[tuple[str, str, str, Artefact, Artefact]]:
    there = {artefact.name: artefact for artefact in wanted_artefacts(run)}
    for recipe in run.settings.recipes:
        wanted = run.settings.sets_of(recipe)
        for source in run.settings.sources:
            for equal, suffix in SUFFIXES.items():
                sets = (f"{source}{suffix}", f"{BASELINE}{suffix}")
                pair = [
                    there[recipe.folder(name)] for name in sets if name in wanted and recipe.folder(name) in there
                ]
                if len(pair) == 2:
                    yield recipe.folder("").removesuffix("-"), source, equal, pair[0], pair[1]


def _compare(
    run: Run,
    measured: dict[str, dict[str, Sums]],
    recipe: str,
    source: str,
    equal: str,
    ours: Artefact,
    theirs: Artefact,
) -> Comparison:
    same, resamples = ours.folder == theirs.folder, run.settings.evaluate.bootstrap
    ours_on, theirs_on, target_on = (measured[name] for name in (ours.folder, theirs.folder, UNQUANTIZED))
    texts = {
        text: {name: _outcome(name, ours_on[text], theirs_on[text], target, same, resamples) for name in METRICS}
        for text, target in target_on.items()
        if text in ours_on and text in theirs_on
    }
    return Comparison(
        recipe=recipe,
        source=source,
        equal=equal,
        ours=ours.name,
        baseline=theirs.name,
        our_samples=ours.samples,
        our_tokens=ours.tokens,
        baseline_samples=theirs.samples,
        baseline_tokens=theirs.tokens,
        same=same,
        texts=texts,
    )


def _outcome(name: str, ours: Sums, baseline: Sums, target: Sums, same: bool, resamples: int) -> Outcome:
    found = difference(name, ours, baseline, resamples)
    return Outcome(
        ours=plain(name, ours),
        baseline=plain(name, baseline),
        difference=found,
        recovered=None if same else recovered(name, ours, baseline, target, resamples),
        verdict=SAME if same else verdict(name, found),
    )


def verdict(name: str, found: Estimate) -> str:
    """In words, what the interval of the difference (ours - baseline) allows to say."""
    if found.low is None or not math.isfinite(found.value):
        return UNKNOWN
    if not found.excludes(0.0):
        return WITHIN_NOISE
    return BETTER if (found.value > 0) == HIGHER_IS_BETTER[name] else WORSE
