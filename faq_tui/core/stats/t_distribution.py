"""Student's t distribution. The degrees of freedom need not be whole numbers."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faq_tui.core.stats.sums import Array

POINTS = 4001
TAILS = 120
SMALLEST = 1e-6  # the smallest tail probability in the table


def tail(t: float, freedom: float) -> float:
    """The probability P(T > t). `t` must not be negative.

    The integral is computed over the angle theta = atan(t / sqrt(freedom)). The density of theta is proportional to
    cos(theta)^(freedom - 1) (Abramowitz and Stegun 26.7.3 and 26.7.4 give its integrals for whole degrees of
    freedom).
    """
    import numpy as np

    if math.isinf(t):
        return 0.0
    theta = np.linspace(math.atan(t / math.sqrt(freedom)), math.pi / 2, POINTS)
    heights = np.clip(np.cos(theta), 0.0, None) ** (freedom - 1.0)
    whole = math.sqrt(math.pi) * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
    return min(0.5, float(np.trapezoid(heights, theta)) / whole)


@lru_cache(maxsize=4096)
def quantile(share: float, freedom: float) -> float:
    """The value t with P(T > t) = `share`. The share must be below one half.

    Newton's method, from a value that is too small. For t > 0, the tail probability is convex, so no step goes too
    far.
    """
    t, following = 0.0, 1.0
    while tail(following, freedom) > share:
        t, following = following, following * 2
    for _ in range(60):
        step = (tail(t, freedom) - share) / _density(t, freedom)
        t += step
        if abs(step) <= 1e-14 * t:
            break
    return t


def _density(t: float, freedom: float) -> float:
    """The density of T at `t`."""
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi)
    return math.exp(scale - (freedom + 1) / 2 * math.log1p(t * t / freedom))


@lru_cache(maxsize=32)
def table(freedom: float) -> tuple[Array, Array]:
    """Returns (tail probabilities, t values) for fast interpolation of many quantiles.

    The probabilities are in descending order and begin at 0.5.
    """
    import numpy as np

    tails = np.geomspace(0.5, SMALLEST, TAILS)
    return tails, np.array([0.0, *(quantile(float(share), freedom) for share in tails[1:])])
