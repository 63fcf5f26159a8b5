"""SpQR (Dettmers et al. 2023): asymmetric GPTQ that stores the weights with the largest effect on the error in 16 bits, as outliers."""

from faq_tui.core.quantizing.methods.spqr.method import METHOD

__all__ = ["METHOD"]
