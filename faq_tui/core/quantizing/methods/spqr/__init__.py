"""SpQR (Dettmers et al. 2023): asymmetric GPTQ that keeps the most costly weights in 16 bits, as outliers."""

from faq_tui.core.quantizing.methods.spqr.method import METHOD

__all__ = ["METHOD"]
