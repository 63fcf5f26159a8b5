"""Check whether a source belongs to the target's family, from model names and local files only.

`known.py` reads data/families.toml, and removes organisation, path and quantization suffix from model names.
`verdict.py` compares two models, and returns a verdict with its reasons.
`check.py` compares a run's sources with its target, and lists the target's elders.
"""

from faq_tui.core.family.check import Finding, badges, check_sources, is_quick, suggestions, warnings
from faq_tui.core.family.verdict import FAMILY, SAME_TOKENIZER, STRANGER, Kinship, ModelProfile, kinship

__all__ = [
    "FAMILY",
    "SAME_TOKENIZER",
    "STRANGER",
    "Finding",
    "Kinship",
    "ModelProfile",
    "badges",
    "check_sources",
    "is_quick",
    "kinship",
    "suggestions",
    "warnings",
]
