"""Compare models by their stored measurements.

The comparisons show whether the regenerated data improved a model, and whether the gain is larger than noise.
"""

from faq_tui.core.evidence.collect import collect, measured
from faq_tui.core.evidence.model import (
    BETTER,
    LEANS_BETTER,
    LEANS_WORSE,
    SAME,
    UNKNOWN,
    WITHIN_NOISE,
    WORSE,
    Comparison,
    Evidence,
    Flips,
    MetricOutcome,
    ModelRow,
)

__all__ = [
    "BETTER",
    "LEANS_BETTER",
    "LEANS_WORSE",
    "SAME",
    "UNKNOWN",
    "WITHIN_NOISE",
    "WORSE",
    "Comparison",
    "Evidence",
    "Flips",
    "MetricOutcome",
    "ModelRow",
    "collect",
    "measured",
]
