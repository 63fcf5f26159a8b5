"""Assemble calibration sets. The target's chat template turns the picked conversations into token ids."""

from faq_tui.core.assembly.sample import Sample, ids_hash, truncate, write_set

__all__ = [
    "Sample",
    "ids_hash",
    "truncate",
    "write_set",
]
