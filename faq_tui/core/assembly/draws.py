"""The seeds of each draw of the calibration sets, where `evaluate.repeats` asks for several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from faq_tui.core.base.hashing import digest
from faq_tui.core.run.run import Run
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.seeds import Seed


def draws(seeds: Sequence[Seed], count: int, repeats: int, share: float, key: object) -> list[list[Seed]]:
    """As many seeds in each draw, in the order of `seeds`.

    Where there are `count` seeds for each draw, no two draws share one, and the first is the one that a single
    draw would be. Where there are more than `count`, each draw is `count` of them at random, so that draws share
    seeds; where there are not, each is a random `share` of them. Such draws differ less than new seeds would.
    """
    if repeats == 1:
        return [list(seeds)]
    if len(seeds) >= count * repeats:
        return [list(seeds[number * count : (number + 1) * count]) for number in range(repeats)]
    size = size_of_draw(len(seeds), count, share)
    return [_some(seeds, size, (key, number)) for number in range(1, repeats + 1)]


def size_of_draw(total: int, count: int, share: float) -> int:
    """Seeds of each of several draws out of `total`, which are too few for draws that share none."""
    return count if total > count else max(1, round(share * total))


def _some(seeds: Sequence[Seed], size: int, key: object) -> list[Seed]:
    kept = {seed.id for seed in sorted(seeds, key=lambda seed: digest("draw", key, seed.id))[:size]}
    return [seed for seed in seeds if seed.id in kept]


def in_words(found: Sequence[Sequence[Seed]]) -> str:
    """What a person should know of several draws."""
    every = {seed.id for seeds in found for seed in seeds}
    said = f"every set is drawn {len(found)} times, from {len(found[0])} seeds each"
    if len(every) == sum(map(len, found)):
        return f"{said}; no seed is in two draws"
    return f"{said} out of {len(every)}: draws share seeds, and so differ less than draws of new seeds would"


@dataclass(frozen=True)
class Overlap:
    """Each draw holds `seeds` of the same `total` seeds, at random."""

    seeds: int
    total: int

    def widening(self, draws: int) -> float:
        """By what the standard error of their mean that `draws` draws show is less than its error over new seeds.

        A mean of n of N seeds, drawn without replacement, varies by (1 - n/N) / n around that of the N, and this
        by 1/N around that of all (Cochran, Sampling Techniques, 1977, section 2.5). The draws show the first part
        only; the second they share, so k draws leave it as it is.
        """
        shown = (1 - self.seeds / self.total) / (self.seeds * draws)
        return math.sqrt((1 / self.total + shown) / shown)


def overlap(run: Run) -> Overlap | None:
    """None where no seed is in two draws."""
    seeds, evaluate = run.settings.seeds, run.settings.evaluate
    total = seed_rows.counts(run.store)["chosen"]
    if evaluate.repeats == 1 or total == 0 or total >= seeds.count * evaluate.repeats:
        return None
    size = size_of_draw(total, seeds.count, evaluate.repeat_share)
    return Overlap(size, total) if size < total else None
