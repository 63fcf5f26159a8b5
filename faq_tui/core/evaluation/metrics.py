"""Perplexity, KL divergence and top-1 agreement from the sums that each item brought.

Sums are over an item's predicted tokens; a metric is a ratio of sums, never a mean of items' own metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PERPLEXITY, KL, TOP1 = "perplexity", "kl", "top1"
METRICS = (KL, PERPLEXITY, TOP1)  # the main one first
HIGHER_IS_BETTER = {PERPLEXITY: False, KL: False, TOP1: True}


@dataclass(frozen=True)
class Sums:
    """Four arrays of shape [items]: predicted tokens, negative log-likelihood and KL in nats, equal top-1."""

    tokens: Array
    nll: Array
    kl: Array
    agree: Array

    @classmethod
    def of(cls, items: Mapping[str, Sequence[float]]) -> Sums:
        import numpy as np

        return cls(*(np.asarray(items[name], dtype=np.float64) for name in ("tokens", "nll", "kl", "agree")))

    def __len__(self) -> int:
        return len(self.tokens)


def metric(name: str, sums: Sums, weights: Array) -> Array:
    """One value for each row of `weights`, shape [rows, items]: how often each item counts.

    perplexity = exp(sum nll / sum tokens), the exponential of the mean negative log-likelihood of a token
    (Jelinek et al. 1977); kl = sum over tokens of KL(unquantized || subject) / tokens; top1 = share of
    predicted tokens where both put the same token first. The last two are what llama.cpp's
    `perplexity --kl-divergence` calls mean KLD and same top p.
    """
    import numpy as np

    part = {PERPLEXITY: sums.nll, KL: sums.kl, TOP1: sums.agree}[name]
    with np.errstate(over="ignore", invalid="ignore"):
        mean: Array = (weights @ part) / (weights @ sums.tokens)
        return np.exp(mean) if name == PERPLEXITY else mean


def plain(name: str, sums: Sums) -> float:
    """The metric of the items as they are."""
    import numpy as np

    return float(metric(name, sums, np.ones((1, len(sums))))[0])
