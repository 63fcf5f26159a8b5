"""Assemble calibration sets: turn picked conversations into token ids by the target's chat template."""

from faq_tui.core.assembly.sample import Sample, ids_hash, truncate, write_set

__all__ = [
    "Sample",
    "ids_hash",
    "truncate",
    "write_set",
]
