"""Marks less what a text's length alone explains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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


def controlled(
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
