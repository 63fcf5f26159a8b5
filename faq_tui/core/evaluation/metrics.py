"""Metrics from the sums that each item brought.

Sums are over an item's predicted tokens; a metric is a ratio of sums, never a mean of items' own metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faq_tui.core.evaluation.kinds import (
    ACCURACY,
    ACCURACY_NORM,
    BYTE_PERPLEXITY,
    FLIPS,
    HIGHER_IS_BETTER,
    KL,
    LAST_PERPLEXITY,
    METRICS_OF,
    PERPLEXITY,
    PROSE,
    TOP1,
    WORD_PERPLEXITY,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


__all__ = ["HIGHER_IS_BETTER", "KL", "METRICS", "PERPLEXITY", "TOP1", "Sums", "metric", "plain"]

METRICS = METRICS_OF[PROSE]
ITEMS = "items"  # the column of ones
# Name to (numerator, denominator, whether the exponential of the ratio is meant).
RATIOS = {
    PERPLEXITY: ("nll", "tokens", True),
    KL: ("kl", "tokens", False),
    TOP1: ("agree", "tokens", False),
    WORD_PERPLEXITY: ("nll", "words", True),
    BYTE_PERPLEXITY: ("nll", "bytes", True),
    ACCURACY: ("correct", ITEMS, False),
    ACCURACY_NORM: ("correct_norm", ITEMS, False),
    LAST_PERPLEXITY: ("nll", ITEMS, True),
    FLIPS: ("flipped", ITEMS, False),
}


@dataclass(frozen=True)
class Sums:
    """Columns of shape [items], such as tokens (predicted), nll and kl (nats), agree (equal top-1), correct."""

    columns: dict[str, Array]

    @classmethod
    def of(cls, items: Mapping[str, Sequence[float] | Array]) -> Sums:
        import numpy as np

        return cls({name: np.asarray(values, dtype=np.float64) for name, values in items.items()})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Array:
        import numpy as np

        return np.ones(len(self)) if name == ITEMS else self.columns[name]

    def flipped_from(self, unquantized: Sums) -> Sums:
        """With the column `flipped`: items that are right here and wrong there, or the other way round."""
        import numpy as np

        flipped = np.abs(self.columns["correct"] - unquantized.columns["correct"])
        return Sums({**self.columns, "flipped": flipped})


def metric(name: str, sums: Sums, weights: Array) -> Array:
    """One value for each row of `weights`, shape [rows, items]: how often each item counts.

    perplexity = exp(sum nll / sum tokens), the exponential of the mean negative log-likelihood of a token
    (Jelinek et al. 1977); kl = sum over tokens of KL(unquantized || subject) / tokens; top1 = share of
    predicted tokens where both put the same token first. The last two are what llama.cpp's
    `perplexity --kl-divergence` calls mean KLD and same top p. word_perplexity and byte_perplexity divide by
    the words and bytes of the text as lm_eval's `weighted_perplexity` does. accuracy, accuracy_norm and
    last_perplexity are lm_eval's acc, acc_norm and (for LAMBADA, Paperno et al. 2016) perplexity of the
    target word. flips = share of items whose correctness differs from the unquantized model's (Dutta et al.
    2024, "Accuracy is not all you need").
    """
    import numpy as np

    above, below, exponential = RATIOS[name]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        mean: Array = (weights @ sums.column(above)) / (weights @ sums.column(below))
        return np.exp(mean) if exponential else mean


def plain(name: str, sums: Sums) -> float:
    """The metric of the items as they are."""
    import numpy as np

    return float(metric(name, sums, np.ones((1, len(sums))))[0])


DTYPE = "<f2"
MOST = 65504.0  # of a float16


def encode_token_kl(items: Mapping[int, Sequence[float]], differs: Mapping[int, Sequence[bool]]) -> bytes:
    """`items`: item to the KL of its predicted tokens in nats; `differs`: the same for another top-1 token."""
    import numpy as np

    order = sorted(items)
    kl = np.concatenate([np.zeros(0), *(np.asarray(items[n], dtype=np.float64) for n in order)])
    other = np.concatenate([np.zeros(0, dtype=bool), *(np.asarray(differs[n], dtype=bool) for n in order)])
    finite = np.nan_to_num(kl, nan=MOST, posinf=MOST).clip(0.0, MOST)
    return bytes(np.where(other, -finite, finite).astype(DTYPE).tobytes())


def decode_token_kl(
    blob: bytes, tokens: Sequence[float], number: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(KL in nats, whether the top-1 token differs), both [predicted tokens of item `number`].

    `tokens`: of each item how many are predicted, as the measurement's column says.
    """
    import numpy as np

    start = int(sum(tokens[:number]))
    values = np.frombuffer(blob, dtype=DTYPE)[start : start + int(tokens[number])]
    return np.abs(values).astype(np.float32), np.signbit(values)
