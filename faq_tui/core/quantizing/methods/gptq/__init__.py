"""Quantize by GPTQ or GPTAQ, with faq-tui's own solver or with the library GPTQModel, and store packed codes."""

from faq_tui.core.quantizing.methods.gptq.method import METHOD

__all__ = ["METHOD"]
