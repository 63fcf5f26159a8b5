"""W8A8: INT8 weights by GPTQ with one scale per channel, INT8 activations with one scale per token."""

from faq_tui.core.quantizing.methods.w8a8.method import METHOD

__all__ = ["METHOD"]
