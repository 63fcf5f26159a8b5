"""Is a source of the target's family? From names and local files alone; what is not known is said to be unknown.

names.py     a model's name without organisation, path and quantization suffix, and its size
known.py     the families of data/families.toml
files.py     what config, tokenizer and chat template in a folder or in the hub's cache tell
verdict.py   two models compared: the verdict and its reasons
check.py     the sources of a run, and elders for its target
served.py    what a run's servers say their models are
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
