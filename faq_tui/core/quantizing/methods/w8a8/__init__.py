"""W8A8 quantizes weights to INT8 by GPTQ, with one scale per channel.

Activations are rounded to INT8 at inference, with one scale per token.
"""

from faq_tui.core.quantizing.methods.w8a8.method import METHOD

__all__ = ["METHOD"]
