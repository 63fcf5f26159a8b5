"""Whether a source is of the target's family, from names and local files alone.

known.py     the families of data/families.toml; names without organisation, path and quantization suffix
verdict.py   two models compared: the verdict and its reasons
check.py     the sources of a run compared with its target; the models behind servers' names; elders of the target
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
