"""Extension points: everything that other packages can add to faq-tui without changing its code.

registry.py finds the extensions of one kind: a table lists faq-tui's own, and entry points list those of other
packages points.py the seven kinds of extension, with tables of faq-tui's extensions
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
