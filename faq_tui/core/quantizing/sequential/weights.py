"""The weights of the calibration tokens in the Hessians.

H is the weighted mean 2 Σ w x xᵀ / Σ w over the tokens of all rows. The weight w of a token is the weight of its
kind. The first token of each row, the attention sink, has a separate weight:

- Without a sink share, the first tokens have the weight 1.
- With the sink share s, they have the weight N = s / (1 - s) · W / R. Here W is the sum of the weights of all other
  tokens, and R is the number of rows. So the share of the first tokens in the sum of all weights is exactly s.

If all kinds have the weight 1, W is the number of tokens minus the number of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.chat.token_kinds import KINDS, QUESTION, SINK

OTHER = KINDS.index(QUESTION)  # the class of all tokens after the first one, if their kinds do not matter


@dataclass(frozen=True)
class TokenWeights:
    """`classes` has one byte for each token of each row: the token's class, an index into `values`.

    `values` holds the weight of each class. The class 0 holds the first tokens of all rows.
    """

    classes: Sequence[bytes]
    values: tuple[float, ...]

    @property
    def first(self) -> float:
        """The weight of each row's first token."""
        return self.values[0]

    @property
    def even(self) -> bool:
        """True if all tokens have the weight 1."""
        return all(self.values[kind] == 1.0 for row in self.classes for kind in set(row))

    @property
    def sink_share(self) -> float:
        """(sum of the weights of the first tokens) / (sum of all weights)"""
        counts = Counter(kind for row in self.classes for kind in row)
        return counts[0] * self.first / sum(count * self.values[kind] for kind, count in counts.items())


def token_weights(
    lengths: Sequence[int],
    sink_share: float | None = None,
    by_kind: Mapping[str, float] | None = None,
    kinds: Sequence[bytes] | None = None,
) -> TokenWeights:
    """Compute the weights of all tokens. `lengths` holds the number of tokens of each row.

    `sink_share` is the share of the first tokens in the sum of all weights. If `sink_share` is None, the first tokens
    have the weight 1. `by_kind` maps names in `token_kinds.KINDS` to weights; the other kinds have the weight 1. If
    `by_kind` is given, `kinds` must hold the kind of each token of each row, an index into `KINDS`. Raises UsageError
    if all tokens after the first ones have the weight 0.
    """
    values = [1.0, *(float((by_kind or {}).get(kind, 1.0)) for kind in KINDS if kind != SINK)]
    rest = [bytes([OTHER]) * (length - 1) for length in lengths] if kinds is None else [row[1:] for row in kinds]
    counts = Counter(kind for row in rest for kind in row)
    others = sum(count * values[kind] for kind, count in counts.items())
    if others <= 0:
        raise UsageError(
            "token_weights gives the weight 0 to every token of this set: raise the weight of a kind that the set has"
        )
    if sink_share is not None:
        values[0] = sink_share / (1 - sink_share) * others / len(rest)
    return TokenWeights([bytes(1) + row for row in rest], tuple(values))


def padded(
    rows: Sequence[Sequence[int]], weights: TokenWeights | None, multiple: int
) -> tuple[Sequence[Sequence[int]], TokenWeights | None]:
    """Make each row longer, so that its length is a multiple of `multiple`. The added tokens have the weight 0.

    Rows of equal length are computed together, so a GPU needs fewer steps if there are few different lengths. The
    model is causal, so the tokens of a row do not depend on tokens after them. If at least one row became longer, the
    result has weights, even if `weights` is None.
    """
    if all(len(row) % multiple == 0 for row in rows):
        return rows, weights
    classes = [bytes(1) + bytes([OTHER]) * (len(row) - 1) for row in rows] if weights is None else weights.classes
    values = (1.0,) * (OTHER + 1) if weights is None else weights.values
    added = [-len(row) % multiple for row in rows]
    return (
        [[*row, *[row[-1]] * count] for row, count in zip(rows, added, strict=True)],
        TokenWeights(
            [bytes(row) + bytes([len(values)]) * count for row, count in zip(classes, added, strict=True)],
            (*values, 0.0),
        ),
    )


@dataclass(frozen=True)
class Weighted:
    """The weights of the tokens that a module processes in one call.

    `classes` holds the class of each token, int64 [tokens]. `values` holds the weight of each class.
    """

    classes: Any
    values: tuple[float, ...]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], values: tuple[float, ...], device: Any) -> Weighted:
        """The weights of a batch. `rows` holds the classes of each row's tokens."""
        import torch

        return cls(torch.tensor([kind for row in rows for kind in row], device=device), values)

    def __len__(self) -> int:
        return len(self.classes)

    def at(self, tokens: Any) -> Weighted:
        """The weights of the tokens with these indices, int64 [chosen]."""
        return Weighted(self.classes[tokens], self.values)

    @cached_property
    def parts(self) -> list[tuple[float, Any]]:
        """Each weight above 0, with the indices of the tokens that have this weight.

        All tokens with the same weight go into one matrix product. Therefore the inputs are not scaled, and lose no
        precision. The list is made once for all modules, because finding the tokens makes the GPU wait.
        """
        found = []
        for weight in sorted({value for value in self.values if value > 0}):
            own = [kind for kind, value in enumerate(self.values) if value == weight]
            mask = self.classes == own[0]
            for kind in own[1:]:
                mask |= self.classes == kind
            tokens = mask.nonzero().view(-1)
            if len(tokens):
                found.append((weight, tokens))
        return found
