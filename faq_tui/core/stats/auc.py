"""How well scores tell two kinds of answers apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Z95 = 1.959963984540054


def auc(better: Sequence[float], worse: Sequence[float]) -> float:
    """The chance that one of `better` has a higher score than one of `worse`, ties counting half (Mann-Whitney).

    Raises ValueError if either is empty.
    """
    if not better or not worse:
        raise ValueError("an AUC needs scores of both kinds")
    wins = sum((b > w) + 0.5 * (b == w) for b in better for w in worse)
    return wins / (len(better) * len(worse))


def interval(value: float, better: int, worse: int) -> tuple[float, float]:
    """95 % interval of an AUC over so many scores of each kind: Newcombe's score method 5.

    Statistics in Medicine 25 (2006) 559-573. It does not shrink to a point where the scores are told apart
    without an error, as Wald's interval does.
    """
    n = (better + worse) / 2 - 1

    def reaches(theta: float) -> float:
        """Positive while the observed value lies within 1.96 standard errors of `theta`."""
        spread = 1 + n * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return Z95 * math.sqrt(theta * (1 - theta) * spread / (better * worse)) - abs(value - theta)

    return _edge(reaches, value, 0.0), _edge(reaches, value, 1.0)


def _edge(reaches: Callable[[float], float], inside: float, outside: float) -> float:
    """Where `reaches` turns negative between the two, to 1e-9."""
    while abs(outside - inside) > 1e-9:
        middle = (inside + outside) / 2
        if reaches(middle) >= 0:
            inside = middle
        else:
            outside = middle
    return inside
