"""Check whether a source belongs to the target's family, from model names and local files only.

known.py     read data/families.toml; remove organisation, path and quantization suffix from model names
verdict.py   compare two models; return a verdict with its reasons
check.py     compare a run's sources with its target; ask servers for the loaded models; list the target's elders
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
