"""One judge's mark of one candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.store.candidates import Candidate


@dataclass(frozen=True)
class Mark:
    score: float | None  # None: unscored, never zero
    reason: str
    raw: str  # the judge's whole reply
    details: dict[str, Any] = field(default_factory=dict)  # what the score is made of


OnMark = Callable[[Candidate, Mark], None]
