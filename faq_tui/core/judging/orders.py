"""The two orders in which a judge sees the same answers: judges favour the first place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

TURNS = 2


def orders(count: int, key: str) -> tuple[tuple[int, ...], ...]:
    """Two random orders of `count` answers, the same for the same key; no answer has the same place in both.

    Place p of an order holds an answer's index. One answer has one order.
    """
    if count < 2:
        return (tuple(range(count)),)
    dice = random.Random(key)
    first = list(range(count))
    dice.shuffle(first)
    by = dice.randrange(1, count)
    return tuple(first), tuple(first[by:] + first[:by])


@dataclass(frozen=True)
class Bias:
    """How much the order decided, over groups of answers to one seed that were marked in both orders."""

    groups: int
    changed: int  # no best answer of one order is a best one of the other
    tied: int  # several answers share the best mean of both
    by_place: tuple[float, ...]  # mean mark of the answers at the first place, the second, …


def bias_of(groups: Sequence[Sequence[Sequence[tuple[int, float]]]]) -> Bias:
    """Of each group, each answer's (place, mark) in the first order and in the second."""
    changed = tied = 0
    places: dict[int, list[float]] = {}
    for group in groups:
        winners = [_best([answer[turn][1] for answer in group]) for turn in range(TURNS)]
        changed += not winners[0] & winners[1]
        tied += len(_best([sum(mark for _, mark in answer) for answer in group])) > 1
        for answer in group:
            for place, mark in answer:
                places.setdefault(place, []).append(mark)
    return Bias(
        len(groups), changed, tied, tuple(sum(places[place]) / len(places[place]) for place in sorted(places))
    )


def _best(marks: Sequence[float]) -> set[int]:
    top = max(marks)
    return {index for index, mark in enumerate(marks) if mark == top}
