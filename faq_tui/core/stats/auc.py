"""Area under the ROC curve (AUC): how well scores separate better answers from worse answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Z95 = 1.959963984540054


def auc(better: Sequence[float], worse: Sequence[float]) -> float:
    """The probability that a random score of `better` is higher than a random score of `worse` (Mann-Whitney).

    Equal scores count as one half.

    Raises ValueError if `better` or `worse` is empty.
    """
    if not better or not worse:
        raise ValueError("an AUC needs at least one score in both groups")
    wins = sum((b > w) + 0.5 * (b == w) for b in better for w in worse)
    return wins / (len(better) * len(worse))


def interval(value: float, better: int, worse: int) -> tuple[float, float]:
    """95% interval of the AUC `value`, by Newcombe's score method 5 (Statistics in Medicine 25 (2006) 559-573).

    `better` and `worse` are the numbers of scores of the two groups. Even for an AUC of 1, the width of this interval
    is above zero. Wald's interval would have a width of zero.
    """
    n = (better + worse) / 2 - 1

    def reaches(theta: float) -> float:
        """The result is positive if the observed value lies within 1.96 standard errors of `theta`."""
        spread = 1 + n * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return Z95 * math.sqrt(theta * (1 - theta) * spread / (better * worse)) - abs(value - theta)

    return _edge(reaches, value, 0.0), _edge(reaches, value, 1.0)


def _edge(reaches: Callable[[float], float], inside: float, outside: float) -> float:
    """The point between `inside` and `outside` at which `reaches` becomes negative.

    The error of this point is at most 1e-9.
    """
    while abs(outside - inside) > 1e-9:
        middle = (inside + outside) / 2
        if reaches(middle) >= 0:
            inside = middle
        else:
            outside = middle
    return inside
