"""Which candidates are missing, and in which order they are asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from faq_tui.core.regenerating.questions import source_hash_of
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source
from faq_tui.core.store import candidates as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.seeds import Seed

SAMPLE = 3  # candidates from which the cost of the others is estimated


@dataclass(frozen=True)
class PendingCandidate:
    """One candidate to ask for; the lowest `order` goes first."""

    seed: Seed
    number: int  # 1-based
    order: int


def pending_candidates(run: Run, source: Source) -> list[PendingCandidate]:
    """Seed by seed, those first that were begun: a stop leaves whole seeds rather than many begun ones."""
    there = rows.numbers(run.store, source_hash_of(source))
    begun = Counter(seed_id for seed_id, _ in there)
    seeds = sorted(seed_rows.by_role(run.store, "chosen"), key=lambda seed: not begun[seed.id])
    todo = [
        (seed, number)
        for seed in seeds
        for number in range(1, source.candidates + 1)
        if (seed.id, number) not in there
    ]
    return [PendingCandidate(seed, number, order) for order, (seed, number) in enumerate(todo)]


def cost_sample(wanted: list[PendingCandidate]) -> list[PendingCandidate]:
    """Of `SAMPLE` seeds, from short to long; nothing where that would be all of it."""
    if len(wanted) <= SAMPLE:
        return []
    first = {w.seed.id: w for w in reversed(wanted)}
    by_length = sorted(first.values(), key=lambda w: len(w.seed.question))
    if len(by_length) < SAMPLE:
        return wanted[:SAMPLE]
    # The quarters' borders: neither the shortest nor the longest question tells of the others.
    return [by_length[round(len(by_length) * (place + 1) / (SAMPLE + 1))] for place in range(SAMPLE)]
