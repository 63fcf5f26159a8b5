"""The model that is quantized: where it lies, what identifies it, and its tokenizer."""

from faq_tui.core.target.model import TargetModel, find_target, fingerprint
from faq_tui.core.target.tokenizer import load_tokenizer, special_texts
from faq_tui.core.target.trust import refuse_code, untrusted_code

__all__ = [
    "TargetModel",
    "find_target",
    "fingerprint",
    "load_tokenizer",
    "refuse_code",
    "special_texts",
    "untrusted_code",
]
