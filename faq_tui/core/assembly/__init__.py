"""From a picked conversation to token ids in exactly the form of the target's own conversations."""

from faq_tui.core.assembly.sample import Sample, ids_hash, truncate, write_set

__all__ = [
    "Sample",
    "ids_hash",
    "truncate",
    "write_set",
]
