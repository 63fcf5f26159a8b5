"""GPTQ and GPTAQ: quantize by faq-tui's own solver or by the library GPTQModel, and store packed codes."""

from faq_tui.core.quantizing.methods.gptq.method import METHOD

__all__ = ["METHOD"]
