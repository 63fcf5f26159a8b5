"""From a picked conversation to token ids that look to the target exactly like its own conversations."""

from faq_tui.core.assembly.overflow import fit
from faq_tui.core.assembly.render import Rendered, render_answered, render_seed
from faq_tui.core.assembly.sample import Sample, ids_hash, write_set
from faq_tui.core.assembly.template import RefusedError

__all__ = [
    "RefusedError",
    "Rendered",
    "Sample",
    "fit",
    "ids_hash",
    "render_answered",
    "render_seed",
    "write_set",
]
