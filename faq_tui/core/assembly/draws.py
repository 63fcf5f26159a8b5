"""Choose the seeds of each draw of the calibration sets, and describe how the draws overlap.

The setting `evaluate.repeats` is the number of draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from faq_tui.core.base.hashing import digest
from faq_tui.core.base.text import counted
from faq_tui.core.run.run import Run
from faq_tui.core.store import seeds as seed_rows


def draws(seeds: Sequence[str], count: int, repeats: int, share: float, key: object) -> list[list[str]]:
    """Choose the seeds of each draw: a part of the ids `seeds`, in the same order. All draws have the same number of
    seeds.

    If there are at least `count` x `repeats` seeds, no two draws share a seed, and each draw has `count` seeds. If no
    two draws share a seed, the first draw is the same as with `repeats = 1`.

    If there are fewer seeds, each draw is a random subset of all seeds, and draws may share seeds. If there are more
    than `count` seeds, each draw has `count` seeds. If there are at most `count` seeds, the size of each draw is
    `share` times the number of all seeds. But no draw has all seeds, because then all draws would be equal. Results
    of draws that share seeds differ less than results of draws without common seeds.
    """
    if repeats == 1:
        return [list(seeds)]
    if len(seeds) >= count * repeats:
        return [list(seeds[number * count : (number + 1) * count]) for number in range(repeats)]
    size = size_of_draw(len(seeds), count, share)
    return [_random_seeds(seeds, size, (key, number)) for number in range(1, repeats + 1)]


def size_of_draw(total: int, count: int, share: float) -> int:
    """The number of seeds in each draw, for draws that may share seeds. `total` is the number of all seeds."""
    return count if total > count else max(1, min(total - 1, round(share * total)))


def _random_seeds(seeds: Sequence[str], size: int, key: object) -> list[str]:
    kept = set(sorted(seeds, key=lambda seed_id: digest("draw", key, seed_id))[:size])
    return [seed_id for seed_id in seeds if seed_id in kept]


def in_words(draws_made: Sequence[Sequence[str]]) -> str:
    """A sentence that says how several draws overlap."""
    every = {seed_id for seeds in draws_made for seed_id in seeds}
    sizes = f"every set is drawn {len(draws_made)} times, from {counted(len(draws_made[0]), 'seed')} each"
    if len(every) == sum(map(len, draws_made)):
        return f"{sizes}; no two draws share a seed"
    return f"{sizes} out of {len(every)}: draws share seeds, so they are more alike than draws without common seeds"


@dataclass(frozen=True)
class Overlap:
    """Each draw is a random subset of the same `total` seeds. `seeds` is the number of seeds in each draw."""

    seeds: int
    total: int

    def widening(self, draws: int) -> float:
        """A factor that turns the spread of overlapping draws into the standard error of their mean.

        Overlapping draws differ too little, so a standard error that is computed from their spread is too small. The
        factor corrects this standard error, so that it holds for newly collected seeds.

        Below, every variance is given as a multiple of the variance between single seeds. If n seeds are drawn from N
        seeds without replacement, their mean has the variance (1 - n/N) / n around the mean of the N seeds. The mean
        of the N seeds has the variance 1/N around the true mean (Cochran, Sampling Techniques, 1977, section 2.5).
        The spread of the draws shows only the first of these two variances, (1 - n/N) / n. The second variance, 1/N,
        is common to all draws, so a mean of k draws does not reduce it.
        """
        shown = (1 - self.seeds / self.total) / (self.seeds * draws)
        return math.sqrt((1 / self.total + shown) / shown)


def overlap(run: Run) -> Overlap | None:
    """The overlap of this run's draws. The result is None if no two draws share a seed."""
    seeds, evaluate = run.settings.seeds, run.settings.evaluate
    total = seed_rows.counts(run.store)["chosen"]
    if evaluate.repeats == 1 or total == 0 or total >= seeds.count * evaluate.repeats:
        return None
    size = size_of_draw(total, seeds.count, evaluate.repeat_share)
    return Overlap(size, total) if size < total else None
