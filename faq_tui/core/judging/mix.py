"""A weighted mix of several judges' marks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Groups = Sequence[Sequence[int]]  # candidate ids of one seed and source each


def z_scores(values: Mapping[int, float], groups: Groups) -> dict[int, float]:
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
    weights: Mapping[str, float], marks: Mapping[str, Mapping[int, float]], groups: Groups
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
