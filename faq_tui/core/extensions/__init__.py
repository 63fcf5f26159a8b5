"""Extension points: everything that other packages can add to faq-tui without editing it.

registry.py  finds the extensions of one kind: those of faq-tui in a table, those of other packages by entry points
points.py    the seven kinds of extension, each with a table of faq-tui's own extensions
"""

from faq_tui.core.extensions.points import DIALECTS, EXPORTS, JUDGES, METHODS, METRICS, REPORTS, SEED_FORMATS
from faq_tui.core.extensions.registry import Extension, Registry

__all__ = [
    "DIALECTS",
    "EXPORTS",
    "JUDGES",
    "METHODS",
    "METRICS",
    "REPORTS",
    "SEED_FORMATS",
    "Extension",
    "Registry",
]
