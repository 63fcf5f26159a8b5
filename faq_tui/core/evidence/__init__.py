"""Did it help, beyond noise? From stored measurements to rows and comparisons, as plain data."""

from faq_tui.core.evidence.collect import collect
from faq_tui.core.evidence.model import (
    BETTER,
    SAME,
    UNKNOWN,
    WITHIN_NOISE,
    WORSE,
    Comparison,
    Evidence,
    Outcome,
    Row,
)

__all__ = [
    "BETTER",
    "SAME",
    "UNKNOWN",
    "WITHIN_NOISE",
    "WORSE",
    "Comparison",
    "Evidence",
    "Outcome",
    "Row",
    "collect",
]
