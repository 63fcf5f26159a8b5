"""One judge's mark of one candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.store.candidates import Candidate


@dataclass(frozen=True)
class Score:
    score: float | None  # None: unscored, never zero
    reason: str
    raw: str  # the judge's whole reply
    details: dict[str, Any] = field(default_factory=dict)  # what the score is made of


OnMark = Callable[[Candidate, Score], None]


FINISHED = "stop"


def best_candidate(candidates: Iterable[Candidate], scores: Mapping[int, float | None]) -> int | None:
    """Id of the candidate with the best score among those without a flag; None if there is none.

    A tie goes to one that finished by itself, then to the lower number, which is chance: the candidates are equal
    draws. What loops has a flag. Length decides nothing.
    """
    fit = [c for c in candidates if not c.flags and scores.get(c.id) is not None]
    return max(fit, key=lambda c: (scores[c.id], c.finish_reason == FINISHED, -c.number)).id if fit else None
