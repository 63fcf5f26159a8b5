"""Extension points: everything that can be added to faq-tui without an edit in it.

registry.py  finds the extensions of one kind: ours by a table, those of other packages by entry points
points.py    the seven kinds, with the table of what faq-tui itself brings
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
