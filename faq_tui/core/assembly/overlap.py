"""How far the draws of the calibration sets share seeds, and what that hides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from faq_tui.core.assembly.draws import size_of_draw
from faq_tui.core.run import Run
from faq_tui.core.store import seeds as seed_rows


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
