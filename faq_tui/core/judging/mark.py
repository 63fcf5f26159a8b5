"""One judge's mark of one candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faq_tui.core.store.candidates import Candidate


@dataclass(frozen=True)
class Mark:
    score: float | None  # None: unscored, never zero
    reason: str
    raw: str  # the judge's whole reply


OnMark = Callable[[Candidate, Mark], None]
