"""Check whether a source belongs to the target's family, from model names and local files only.

known.py     the families of data/families.toml; model names without organisation, path and quantization suffix
verdict.py   compare two models; give a verdict and its reasons
check.py     compare a run's sources with its target; find the models behind servers' names; list the target's elders
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
