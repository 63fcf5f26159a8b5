"""SpQR (Dettmers et al. 2023). SpQR is asymmetric GPTQ that stores the weights with the largest errors in 16 bits."""

from faq_tui.core.quantizing.methods.spqr.method import METHOD

__all__ = ["METHOD"]
