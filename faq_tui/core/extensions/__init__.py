"""Extension points: everything that other packages can add to faq-tui without changing its code.

`registry.py` finds extensions by name. A table lists faq-tui's own extensions, and entry points list the extensions
of other packages. `points.py` lists the seven kinds of extension, each with a table of faq-tui's own extensions.
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
