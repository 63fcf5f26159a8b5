"""The model that is quantized: where it lies, what identifies it, and its tokenizer."""

from faq_tui.core.target.model import TargetModel, find_target, fingerprint
from faq_tui.core.target.tokenizer import load_tokenizer, special_texts

__all__ = ["TargetModel", "find_target", "fingerprint", "load_tokenizer", "special_texts"]
