"""Marks that follow from other marks of the whole run: less the length, and mixed. Stored, so that panes need not
compute them; computed anew whenever the stage runs, since every further candidate moves them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from faq_tui.core.judging.identity import column_id, judge_id, shown_id
from faq_tui.core.run.run import Run
from faq_tui.core.settings import MIX
from faq_tui.core.store import picks as rows

Groups = Sequence[Sequence[int]]


def derive(run: Run, groups: Groups) -> None:
    """`groups`: ids of the fit candidates of one seed and source each, over all sources of the run."""
    judge = run.settings.judge
    for kind in judge.kinds():
        if shown_id(run, kind) != column_id(run, kind):
            _control(run, kind, groups)
    if judge.picks_by == MIX:
        _mix(run, groups)


def _control(run: Run, kind: str, groups: Groups) -> None:
    identity = column_id(run, kind)
    ours = {i for group in groups for i in group}
    raw = {i: mark for i, mark in rows.scores_of(run.store, identity).items() if i in ours}
    details = rows.details_of(run.store, identity)
    values = {i: mark for i, mark in raw.items() if mark is not None}
    lengths = {i: int(details[i].get("tokens", 0)) for i in values}
    marks, slope = length_controlled(values, lengths, groups)
    found: dict[int, tuple[float | None, str, Any]] = {}
    for i, mark in raw.items():
        if mark is None:
            found[i] = (None, "no mark to take the length from", {"raw": None, "slope": None})
        else:
            about = {"raw": round(mark, 6), "slope": None if slope is None else round(slope, 6)}
            found[i] = (round(marks[i], 6), _parts(kind, mark, details[i]), {**details[i], **about})
    rows.put_derived(run.store, kind, shown_id(run, kind), found)


def _parts(kind: str, mark: float, details: dict[str, Any]) -> str:
    """The reason that is shown with a controlled mark."""
    if kind == "likelihood":
        return f"mean log-probability {mark:.3f} over {details.get('tokens', 0)} tokens, less the effect of length"
    return f"drives {100 * mark:.0f}% of the target's outlier channels, less the effect of length"


def _mix(run: Run, groups: Groups) -> None:
    weights = run.settings.judge.weights()
    marks = {
        kind: {i: m for i, m in rows.scores_of(run.store, shown_id(run, kind)).items() if m is not None}
        for kind in weights
    }
    found = {
        i: (
            None if score is None else round(score, 6),
            _sum(weights, zs),
            {"z": {k: round(z, 6) for k, z in zs.items()}},
        )
        for i, (score, zs) in mixed(weights, marks, groups).items()
    }
    rows.put_derived(run.store, MIX, judge_id(run), found)


def _sum(weights: dict[str, float], zs: dict[str, float]) -> str:
    parts = [f"{weights[kind]:g} × {zs[kind]:+.2f} {kind}" if kind in zs else f"{kind} unscored" for kind in weights]
    return "mix: " + ", ".join(parts)


_SeedGroups = Sequence[Sequence[int]]  # candidate ids of one seed and source each


def z_scores(values: Mapping[int, float], groups: _SeedGroups) -> dict[int, float]:
    """Candidate id to (mark - mean of its seed's marks) / s, where s is the standard deviation of these differences
    over all seeds of the run that have two marks or more.

    One s for the whole run: three marks that hardly differ stay close, and are not blown up to the spread of three
    that differ much. 0 where all are equal.
    """
    apart: dict[int, float] = {}
    paired: list[float] = []
    for group in groups:
        known = [i for i in group if i in values]
        if not known:
            continue
        mean = sum(values[i] for i in known) / len(known)
        apart |= {i: values[i] - mean for i in known}
        if len(known) > 1:
            paired += [apart[i] for i in known]
    spread = math.sqrt(sum(x * x for x in paired) / len(paired)) if paired else 0.0
    return {i: x / spread if spread > 1e-12 else 0.0 for i, x in apart.items()}


def mixed(
    weights: Mapping[str, float], marks: Mapping[str, Mapping[int, float]], groups: _SeedGroups
) -> dict[int, tuple[float | None, dict[str, float]]]:
    """Candidate id to (sum of weight * z-score, z-score of each kind).

    A kind that marked no candidate of a seed says nothing on it, and is left out there. Where it marked some, the
    others have no mixed mark (None): unscored is never taken for average.
    """
    by_kind = {kind: z_scores(marks[kind], groups) for kind in weights}
    found: dict[int, tuple[float | None, dict[str, float]]] = {}
    for group in groups:
        kinds = [kind for kind in weights if any(i in by_kind[kind] for i in group)]
        for i in group:
            known = {kind: by_kind[kind][i] for kind in kinds if i in by_kind[kind]}
            whole = kinds and len(known) == len(kinds)
            found[i] = (sum(weights[kind] * z for kind, z in known.items()) if whole else None, known)
    return found


LEAST = 8  # candidates beside another of the same seed: with fewer a slope is chance


def slope_of(
    values: Mapping[int, float], lengths: Mapping[int, int], groups: Sequence[Sequence[int]]
) -> float | None:
    """The slope of a mark on log length within seeds; None where there are too few candidates, or all are as long.

    values: candidate id to mark; lengths: to its tokens; groups: ids of one seed and source each. Ordinary least
    squares after each seed's own means are taken off (the fixed-effects, or within, estimator): that easy questions
    have short and probable answers must not pass for an effect of length.
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
    return products / squares if count >= LEAST and squares > 1e-12 else None


def length_controlled(
    values: Mapping[int, float], lengths: Mapping[int, int], groups: Sequence[Sequence[int]]
) -> tuple[dict[int, float], float | None]:
    """(candidate id to mark - slope * (log length - the run's mean log length), slope).

    In the mark's own unit: what it would be at the run's (geometric) mean length. Unchanged without a slope.
    """
    slope = slope_of(values, lengths, groups)
    logs = {i: math.log(lengths[i]) for i in values if lengths.get(i, 0) > 0}
    if slope is None or not logs:
        return dict(values), slope
    centre = sum(logs.values()) / len(logs)
    return {i: value - slope * (logs.get(i, centre) - centre) for i, value in values.items()}, slope
