"""Derived scores: scores without the effect of length, and weighted mixes of several judges' scores.

The stage `judge` stores these scores, so that panes need not compute them. Each run of the stage computes all derived
scores again, because each new candidate changes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from faq_tui.core.judging.identity import column_id, judge_id, judge_named, shown_id
from faq_tui.core.run.run import Run
from faq_tui.core.settings import MIX
from faq_tui.core.store import picks as rows
from faq_tui.core.store.picks import ScoreRow

Groups = Sequence[Sequence[int]]  # each group holds the ids of the usable candidates of one seed and source
MIN_CANDIDATES = 8  # with fewer candidates, the fitted slope is mostly chance


def derive(run: Run, groups: Groups) -> None:
    """Compute and store the derived scores of every judge.

    `groups` holds one group per seed and source of the run.
    """
    judge = run.settings.judge
    for kind in judge.kinds():
        if shown_id(run, kind) != column_id(run, kind):
            _control_length(run, kind, groups)
    if judge.picks_by == MIX:
        _mix(run, groups)


def _control_length(run: Run, kind: str, groups: Groups) -> None:
    identity, shown = column_id(run, kind), shown_id(run, kind)
    ours = {i for group in groups for i in group}
    raw = {i: score for i, score in rows.scores_of(run.store, identity).items() if i in ours}
    details = rows.details_of(run.store, identity)
    values = {i: score for i, score in raw.items() if score is not None}
    lengths = {i: int(details[i].get("tokens", 0)) for i in values}
    scores, slope = length_controlled(values, lengths, groups)
    derived = []
    for i, score in raw.items():
        if score is None:
            empty = {"raw": None, "slope": None}
            derived.append(ScoreRow(i, shown, kind, None, "no score to correct for length", empty))
        else:
            about = {"raw": round(score, 6), "slope": None if slope is None else round(slope, 6)}
            reason = judge_named(kind).controlled(scores[i], details[i])
            derived.append(ScoreRow(i, shown, kind, round(scores[i], 6), reason, {**details[i], **about}))
    rows.put_derived(run.store, shown, derived)


def _mix(run: Run, groups: Groups) -> None:
    weights, identity = run.settings.judge.weights(), judge_id(run)
    scores = {
        kind: {i: s for i, s in rows.scores_of(run.store, shown_id(run, kind)).items() if s is not None}
        for kind in weights
    }
    derived = []
    for i, (score, zs) in mixed(weights, scores, groups).items():
        details: dict[str, Any] = {"z": {kind: round(z, 6) for kind, z in zs.items()}}
        rounded = None if score is None else round(score, 6)
        derived.append(ScoreRow(i, identity, MIX, rounded, _sum_in_words(weights, zs), details))
    rows.put_derived(run.store, identity, derived)


def _sum_in_words(weights: dict[str, float], zs: dict[str, float]) -> str:
    parts = [f"{weights[kind]:g} × {zs[kind]:+.2f} {kind}" if kind in zs else f"{kind} unscored" for kind in weights]
    return "mix: " + ", ".join(parts)


def z_scores(values: Mapping[int, float], groups: Groups) -> dict[int, float]:
    """The z-score of each candidate, by candidate id. A z-score is (score - mean of the seed's scores) / s.

    `s` is the standard deviation of the differences (score - mean of the seed's scores). All seeds of the run that
    have at least two scores contribute to `s`. All seeds share the same s, so that small differences within a seed
    stay small. If all scores are equal, every z-score is 0.
    """
    differences: dict[int, float] = {}
    paired: list[float] = []
    for group in groups:
        known = [i for i in group if i in values]
        if not known:
            continue
        mean = sum(values[i] for i in known) / len(known)
        differences |= {i: values[i] - mean for i in known}
        if len(known) > 1:
            paired += [differences[i] for i in known]
    spread = math.sqrt(sum(x * x for x in paired) / len(paired)) if paired else 0.0
    return {i: x / spread if spread > 1e-12 else 0.0 for i, x in differences.items()}


def mixed(
    weights: Mapping[str, float], scores: Mapping[str, Mapping[int, float]], groups: Groups
) -> dict[int, tuple[float | None, dict[str, float]]]:
    """Map each candidate's id to its mixed score and to its z-scores. The z-scores are a dict with one key for each
    kind of judge.

    The mixed score is the sum of weight * z-score over the judges. If a judge scored no candidate of a seed, this
    judge is left out of the sums for that seed. If a judge scored only some candidates of a seed, the mixed score of
    the other candidates is None.
    """
    by_kind = {kind: z_scores(scores[kind], groups) for kind in weights}
    sums: dict[int, tuple[float | None, dict[str, float]]] = {}
    for group in groups:
        kinds = [kind for kind in weights if any(i in by_kind[kind] for i in group)]
        for i in group:
            known = {kind: by_kind[kind][i] for kind in kinds if i in by_kind[kind]}
            whole = kinds and len(known) == len(kinds)
            sums[i] = (sum(weights[kind] * z for kind, z in known.items()) if whole else None, known)
    return sums


def slope_of(values: Mapping[int, float], lengths: Mapping[int, int], groups: Groups) -> float | None:
    """The slope of the score over the logarithm of the length, from a linear fit within seeds.

    The result is None if there are too few candidates, or if all candidates have the same length. `values` maps the
    id of each candidate to the candidate's score. `lengths` maps the id to the candidate's number of tokens. The
    slope is fitted by ordinary least squares after the mean of each seed is subtracted. This is the within estimator
    of a fixed-effects model. The means are subtracted because easy questions have short and probable answers:
    otherwise the difference between easy and hard questions would look like an effect of length.
    """
    products = squares = 0.0
    count = 0
    for group in groups:
        known = [i for i in group if i in values and lengths.get(i, 0) > 0]
        if len(known) < 2:
            continue
        logs = [math.log(lengths[i]) for i in known]
        log_mean, mean = sum(logs) / len(known), sum(values[i] for i in known) / len(known)
        products += sum((x - log_mean) * (values[i] - mean) for x, i in zip(logs, known, strict=True))
        squares += sum((x - log_mean) ** 2 for x in logs)
        count += len(known)
    return products / squares if count >= MIN_CANDIDATES and squares > 1e-12 else None


def length_controlled(
    values: Mapping[int, float], lengths: Mapping[int, int], groups: Groups
) -> tuple[dict[int, float], float | None]:
    """Returns the length-controlled scores by candidate id, and the slope.

    A length-controlled score is score - slope * (log length - mean log length of the run). This is an estimate of the
    candidate's score at the run's geometric mean length. A length-controlled score has the same unit as the score. If
    no slope can be fitted, the score is not changed.
    """
    slope = slope_of(values, lengths, groups)
    logs = {i: math.log(lengths[i]) for i in values if lengths.get(i, 0) > 0}
    if slope is None or not logs:
        return dict(values), slope
    centre = sum(logs.values()) / len(logs)
    return {i: value - slope * (logs.get(i, centre) - centre) for i, value in values.items()}, slope
